// What the LiteRT engine uses of TensorFlowLiteSwift (2.14 and later).
import Foundation

public enum Runtime { public static var version: String { "" } }

public struct Tensor { public let data: Data }

public final class Interpreter {
    public struct Options {
        public init() {}
        public var threadCount: Int?
        public var isXNNPackEnabled = false
    }

    public init(modelPath: String, options: Options?) throws {}
    public func signatureRunner(with key: String) throws -> SignatureRunner { fatalError() }
}

public final class SignatureRunner {
    public func invoke(with inputs: [String: Data]) throws {}
    public func output(named name: String) throws -> Tensor { fatalError() }
}
