import Foundation
import QACore

/// Opens artifacts, each target with its runtime. Which there are is decided when the app is built.
public enum Engines {
    /// Do what is done once on a device and is no part of a load: Core ML's compilation.
    public typealias Preparer = @Sendable (ModelBundle) async throws(EngineError) -> Void

    /// Load a bundle's artifact. The caller has verified its files and prepared it.
    public typealias Loader = @Sendable (ModelBundle) throws(EngineError) -> any QAModel

    /// The targets, as the manifest's `artifact.target` names them.
    public static var targets: [String] {
        var targets: [String] = []
        #if canImport(CoreML)
            targets.append("coreml")
        #endif
        #if canImport(ExecuTorch)
            targets.append("executorch")
        #endif
        #if canImport(TensorFlowLite)
            targets.append("tflite")
        #endif
        return targets
    }

    private static let loads = Loads()

    /// Whether a model was loaded before in this process, or an attempt was made.
    @Sendable public static func hasLoaded() -> Bool { loads.any }

    @Sendable public static func prepare(_ bundle: ModelBundle) async throws(EngineError) {
        #if canImport(CoreML)
            if bundle.manifest.artifact.target == "coreml" { try await CoreMLModel.prepare(bundle) }
        #endif
    }

    @Sendable public static func load(_ bundle: ModelBundle) throws(EngineError) -> any QAModel {
        loads.note()
        let target = bundle.manifest.artifact.target
        switch target {
        #if canImport(CoreML)
            case "coreml": return try CoreMLModel(bundle)
        #endif
        #if canImport(ExecuTorch)
            case "executorch": return try ExecuTorchModel(bundle)
        #endif
        #if canImport(TensorFlowLite)
            case "tflite": return try LiteRTModel(bundle)
        #endif
        default:
            let known = targets.isEmpty ? "none" : targets.joined(separator: ", ")
            throw EngineError(
                "this app was built without a runtime for '\(target)'; it has: \(known)")
        }
    }

    /// The name of what serves a length, in artifacts of several lengths.
    static func name(_ prefix: String, _ length: Int, of lengths: [Int]) -> String? {
        lengths.count > 1 ? "\(prefix)_\(length)" : nil
    }
}

/// Remembers that something was loaded.
private final class Loads: @unchecked Sendable {
    private let lock = NSLock()
    private var noted = false

    var any: Bool { lock.withLock { noted } }

    func note() { lock.withLock { noted = true } }
}
