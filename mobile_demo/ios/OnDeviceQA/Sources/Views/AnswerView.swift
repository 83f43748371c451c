import QACore
import QARuntime
import SwiftUI

/// Where a question is typed.
struct QuestionSection: View {
    @Bindable var question: QuestionModel
    let context: String
    @Environment(AppModel.self) private var app

    var body: some View {
        Section("Question") {
            TextField("Ask about the text", text: $question.question)
                .submitLabel(.search)
                .onSubmit { ask() }
                .accessibilityIdentifier("question")
            Button("Answer") { ask() }
                .disabled(!question.canAsk)
                .accessibilityIdentifier("ask")
        }
    }

    private func ask() {
        question.ask(about: context, with: app.picked, in: app)
    }
}

/// The answer in its surroundings, and how long each stage took.
struct AnswerSection: View {
    let question: QuestionModel

    var body: some View {
        switch question.state {
        case .idle:
            EmptyView()
        case .working:
            Section("Answer") { ProgressView() }
        case .failed(let message):
            Section("Answer") {
                Label(message, systemImage: "exclamationmark.triangle")
            }
        case .answered(let answered):
            let reply = answered.reply
            Section("Answer") {
                ReplyView(answered: answered, context: question.context)
            }
            if reply.answers.count > 1 {
                Section("Other answers") {
                    ForEach(Array(reply.answers.dropFirst().prefix(4).enumerated()), id: \.offset) {
                        _, answer in
                        LabeledContent(answer.text, value: Format.percent(answer.probability))
                    }
                }
            }
        }
    }
}

/// The best answer of a reply.
struct ReplyView: View {
    /// Code points that are shown on each side of the answer.
    private static let around = 240

    let answered: Answered
    let context: String

    var body: some View {
        let reply = answered.reply
        if let best = reply.answers.first {
            Text(Self.highlighted(Excerpt(best, in: context, around: Self.around)))
                .accessibilityIdentifier("answer")
            LabeledContent("Probability", value: Format.percent(best.probability))
        } else {
            Text("No answer.")
        }
        TimesView(reply: reply)
        LabeledContent("Goldens passed here", value: "\(answered.goldens)/\(answered.goldens)")
    }

    /// The answer is marked by its place, never by searching for it.
    private static func highlighted(_ excerpt: Excerpt) -> AttributedString {
        var answer = AttributedString(excerpt.answer)
        answer.backgroundColor = .yellow
        answer.foregroundColor = .black
        answer.font = .body.bold()
        return AttributedString((excerpt.cutBefore ? "…" : "") + excerpt.before) + answer
            + AttributedString(excerpt.after + (excerpt.cutAfter ? "…" : ""))
    }
}

/// The time of each stage.
struct TimesView: View {
    let reply: Reply

    var body: some View {
        LabeledContent("Tokenize", value: Format.milliseconds(reply.times.tokenize))
        LabeledContent("Model", value: Format.milliseconds(reply.times.infer))
        LabeledContent("Decode", value: Format.milliseconds(reply.times.decode))
        LabeledContent(
            reply.lengths.count == 1 ? "Window" : "Windows",
            value: reply.lengths.map(String.init).joined(separator: " + ") + " tokens")
    }
}

enum Format {
    static func milliseconds(_ nanoseconds: Int) -> String {
        let value = Double(nanoseconds) / 1e6
        return value.formatted(.number.precision(.fractionLength(value < 10 ? 2 : 1))) + " ms"
    }

    static func percent(_ share: Double) -> String {
        share.formatted(.percent.precision(.fractionLength(1)))
    }
}
