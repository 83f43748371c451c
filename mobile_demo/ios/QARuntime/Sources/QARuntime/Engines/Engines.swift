import QACore

/// Opens artifacts, each target with its runtime. Which there are is decided when the app is built.
public enum Engines {
    /// Load a bundle's artifact. The caller has verified its files.
    public typealias Loader = @Sendable (ModelBundle) throws(EngineError) -> any QAModel

    /// By the manifest's `artifact.target`.
    public static let loaders: [String: Loader] = {
        var loaders: [String: Loader] = [:]
        #if canImport(CoreML)
            loaders["coreml"] = { (bundle) throws(EngineError) in try CoreMLModel(bundle) }
        #endif
        #if canImport(ExecuTorch)
            loaders["executorch"] = { (bundle) throws(EngineError) in try ExecuTorchModel(bundle) }
        #endif
        #if canImport(TensorFlowLite)
            loaders["tflite"] = { (bundle) throws(EngineError) in try LiteRTModel(bundle) }
        #endif
        return loaders
    }()

    public static func load(_ bundle: ModelBundle) throws(EngineError) -> any QAModel {
        let target = bundle.manifest.artifact.target
        guard let loader = loaders[target] else {
            let known = loaders.keys.sorted().joined(separator: ", ")
            throw EngineError(
                "this app was built without a runtime for '\(target)'; it has: "
                    + (known.isEmpty ? "none" : known))
        }
        return try loader(bundle)
    }

    /// The name of what serves a length, in artifacts of several lengths.
    static func name(_ prefix: String, _ length: Int, of lengths: [Int]) -> String? {
        lengths.count > 1 ? "\(prefix)_\(length)" : nil
    }
}
