import QACore

/// A model in use: loaded, and seen to give its goldens' answers on this phone. The goldens have
/// runs of every length, so that times of answers are those of a warm model.
public final class CheckedModel {
    /// How many goldens it was compared with; all passed.
    public let goldens: Int
    private let pipeline: Pipeline

    /// Load a bundle's model and run its goldens.
    ///
    /// - Parameters:
    ///   - bundle: with its files verified, and prepared.
    /// - Throws: `QAError` or `EngineError`: it cannot be loaded, or fails a golden.
    public init(_ bundle: ModelBundle, load: Engines.Loader = Engines.load) throws {
        let records = try Goldens.read(bundle)
        pipeline = try Pipeline(
            manifest: bundle.manifest, tokenizer: bundle.tokenizer(), model: load(bundle))
        let check = ModelCheck.run(records, pipeline: pipeline)
        if let failure = check.failure {
            throw EngineError("the model fails a golden here, so it is not used: \(failure)")
        }
        goldens = check.checked
    }

    /// As `Pipeline.answer`, with the manifest's own options.
    public func answer(question: String, context: String) throws -> Reply {
        try pipeline.answer(question: question, context: context)
    }
}
