import QACore
import SwiftUI

/// The passages, and a text of one's own.
struct PassageListView: View {
    @Environment(AppModel.self) private var app

    var body: some View {
        @Bindable var app = app
        NavigationStack {
            List {
                ProblemsSection()
                Section("Model") {
                    ModelPicker(title: "Answers by", selection: $app.picked)
                }
                Section("Your text") {
                    NavigationLink("Paste or type a text") { FreeTextView() }
                        .accessibilityIdentifier("free-text")
                }
                Section("Passages") {
                    ForEach(Array(app.passages.enumerated()), id: \.offset) { _, passage in
                        NavigationLink {
                            PassageView(passage: passage)
                        } label: {
                            VStack(alignment: .leading) {
                                Text(passage.title).font(.caption).foregroundStyle(.secondary)
                                Text(passage.context).lineLimit(2)
                            }
                        }
                    }
                }
            }
            .navigationTitle("On-device answers")
        }
    }
}

/// A passage with its questions.
struct PassageView: View {
    let passage: Passage
    @State private var question = QuestionModel()

    var body: some View {
        List {
            QuestionSection(question: question, context: passage.context)
            AnswerSection(question: question)
            if !passage.questions.isEmpty {
                Section("Questions") {
                    ForEach(passage.questions, id: \.self) { suggestion in
                        SuggestionButton(
                            suggestion: suggestion, question: question, context: passage.context)
                    }
                }
            }
            Section("Passage") { Text(passage.context) }
        }
        .navigationTitle(passage.title)
        .navigationBarTitleDisplayMode(.inline)
    }
}

/// A text that the user pastes or types.
struct FreeTextView: View {
    @State private var question = QuestionModel()
    @State private var text = ""

    var body: some View {
        List {
            Section("Text") {
                TextEditor(text: $text)
                    .frame(minHeight: 160)
                    .accessibilityIdentifier("text")
            }
            QuestionSection(question: question, context: text)
            AnswerSection(question: question)
        }
        .navigationTitle("Your text")
        .navigationBarTitleDisplayMode(.inline)
    }
}

/// Asks one of the passage's own questions.
private struct SuggestionButton: View {
    let suggestion: String
    let question: QuestionModel
    let context: String
    @Environment(AppModel.self) private var app

    var body: some View {
        Button(suggestion) {
            question.question = suggestion
            question.ask(about: context, with: app.picked, in: app)
        }
    }
}
