// What the Core ML engine uses of CoreML.
import Foundation

public enum MLComputeUnits: Sendable { case cpuOnly, cpuAndGPU, all, cpuAndNeuralEngine }

open class MLModelConfiguration {
    public init() {}
    public var computeUnits = MLComputeUnits.all
    public var functionName: String?
}

public protocol MLFeatureProvider {
    func featureValue(for name: String) -> MLFeatureValue?
}

open class MLDictionaryFeatureProvider: MLFeatureProvider {
    public init(dictionary: [String: Any]) throws {}
    public func featureValue(for name: String) -> MLFeatureValue? { nil }
}

open class MLMultiArray {}

open class MLFeatureValue {
    public convenience init<Scalar>(shapedArray: MLShapedArray<Scalar>) { self.init() }
    public var multiArrayValue: MLMultiArray? { nil }
}

public protocol MLShapedArrayScalar {}
extension Int32: MLShapedArrayScalar {}
extension Float: MLShapedArrayScalar {}

public struct MLShapedArray<Scalar: MLShapedArrayScalar> {
    public init<Scalars: Sequence>(scalars: Scalars, shape: [Int])
    where Scalars.Element == Scalar {}
    public init(converting array: MLMultiArray) {}
    public var scalars: [Scalar] { [] }
}

open class MLModel {
    public convenience init(contentsOf url: URL, configuration: MLModelConfiguration) throws {
        self.init()
    }
    @available(*, deprecated, message: "iOS 16, macOS 13")
    public class func compileModel(at url: URL) throws -> URL { url }
    public class func compileModel(at url: URL) async throws -> URL { url }
    public func prediction(from input: any MLFeatureProvider) throws -> any MLFeatureProvider {
        input
    }
}
