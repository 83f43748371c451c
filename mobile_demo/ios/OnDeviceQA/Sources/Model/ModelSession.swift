import Foundation
import QACore
import QARuntime

/// One bundle in use. Loading and running keep its thread busy, never the main one.
actor ModelSession {
    private let directory: URL
    private var pipeline: Pipeline?

    init(directory: URL) {
        self.directory = directory
    }

    /// Answer a question; the first one compares the bundle's hashes and loads the model before.
    func answer(question: String, context: String) throws -> Reply {
        try loaded().answer(question: question, context: context)
    }

    /// Give the model's memory back.
    func unload() {
        pipeline = nil
    }

    private func loaded() throws -> Pipeline {
        if let pipeline { return pipeline }
        let bundle = try BundleLibrary.open(directory)
        let opened = try Pipeline(
            manifest: bundle.manifest, tokenizer: bundle.tokenizer(), model: Engines.load(bundle))
        pipeline = opened
        return opened
    }
}
