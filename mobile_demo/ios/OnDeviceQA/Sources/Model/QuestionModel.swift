import Foundation
import Observation
import QACore
import QARuntime

/// One question about one text, and what came of it.
@MainActor
@Observable
final class QuestionModel {
    enum State {
        case idle
        case working
        case answered(Answered)
        case failed(String)
    }

    var question = ""
    private(set) var state = State.idle
    /// The text that was asked about: it may have been edited since.
    private(set) var context = ""
    private var task: Task<Void, Never>?

    var canAsk: Bool {
        !question.trimmingCharacters(in: .whitespacesAndNewlines).isEmpty
    }

    /// Ask models one after another: at once, each would take the other's time.
    static func ask(
        _ question: String, about context: String, of models: [(QuestionModel, String?)],
        in app: AppModel
    ) async {
        for (model, _) in models {
            model.task?.cancel()
            model.question = question
            model.state = .working
        }
        for (model, id) in models {
            model.ask(about: context, with: id, in: app)
            await model.task?.value
        }
    }

    /// Ask; an earlier question that is still being answered is forgotten.
    func ask(about context: String, with id: String?, in app: AppModel) {
        task?.cancel()
        guard let id else {
            task = nil
            state = .failed("There is no model.")
            return
        }
        state = .working
        self.context = context
        let question = question
        task = Task {
            let found: State
            do {
                found = .answered(
                    try await app.answer(question: question, context: context, with: id))
            } catch {
                found = .failed("\(error)")
            }
            if !Task.isCancelled { state = found }
        }
    }
}
