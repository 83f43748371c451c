import Foundation
import QACore
import QARuntime

/// A reply, and how many goldens its model had passed before.
struct Answered: Sendable {
    let reply: Reply
    let goldens: Int
}

/// One bundle in use. Loading and running keep its thread busy, never the main one.
actor ModelSession {
    private let directory: URL
    private var bundle: ModelBundle?
    private var model: CheckedModel?
    private var isPutAway = false

    init(directory: URL) {
        self.directory = directory
    }

    /// Answer a question; before the first one, the bundle's hashes are compared, the model is
    /// loaded, and its goldens are run.
    func answer(question: String, context: String) async throws -> Answered {
        let bundle = try await prepared()
        if isPutAway { throw EngineError("the model was put away meanwhile; ask again") }
        // Nothing is awaited from here on, so it is loaded once.
        let model = try self.model ?? CheckedModel(bundle)
        self.model = model
        return Answered(
            reply: try model.answer(question: question, context: context), goldens: model.goldens)
    }

    /// Give the model's memory back, for good.
    func putAway() {
        model = nil
        isPutAway = true
    }

    private func prepared() async throws -> ModelBundle {
        if let bundle { return bundle }
        let opened = try BundleLibrary.open(directory)
        try await Engines.prepare(opened)
        bundle = opened
        return opened
    }
}
