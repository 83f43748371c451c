import QACore
import QARuntime
import SwiftUI

/// The same question to two models: the teacher and its student.
struct CompareView: View {
    @Environment(AppModel.self) private var app
    @State private var teacher: String?
    @State private var student: String?
    @State private var passage = 0
    @State private var asked = ""
    @State private var left = QuestionModel()
    @State private var right = QuestionModel()
    @State private var isAsking = false

    var body: some View {
        NavigationStack {
            List {
                ProblemsSection()
                Section("Models") {
                    ModelPicker(title: "Teacher", selection: $teacher)
                    ModelPicker(title: "Student", selection: $student)
                }
                Section("Question") {
                    Picker("Passage", selection: $passage) {
                        ForEach(Array(app.passages.enumerated()), id: \.offset) { number, passage in
                            Text(passage.context.prefix(40) + "…").tag(number)
                        }
                    }
                    Picker("Question", selection: $asked) {
                        ForEach(questions, id: \.self) { question in
                            Text(question).tag(question)
                        }
                    }
                    Button("Ask both") { ask() }
                        .disabled(asked.isEmpty || teacher == nil || student == nil || isAsking)
                        .accessibilityIdentifier("ask-both")
                }
                ComparedSection(title: "Teacher", question: left)
                ComparedSection(title: "Student", question: right)
                if let ratio {
                    Section("Comparison") {
                        LabeledContent("Teacher's model time over student's", value: ratio)
                        LabeledContent("Same answer", value: sameAnswer ? "yes" : "no")
                    }
                }
            }
            .navigationTitle("Teacher and student")
            .onAppear { choose() }
            .onChange(of: passage) { asked = questions.first ?? "" }
        }
    }

    private var questions: [String] {
        app.passages.indices.contains(passage) ? app.passages[passage].questions : []
    }

    /// The largest model is the teacher until the user says otherwise.
    private func choose() {
        let roles = ModelSize.teacherAndStudent(app.choices.map { (id: $0.id, size: $0.size) })
        teacher = teacher ?? roles?.teacher
        student = student ?? roles?.student
        if asked.isEmpty { asked = questions.first ?? "" }
    }

    private func ask() {
        let context = app.passages[passage].context
        isAsking = true
        Task {
            await QuestionModel.ask(
                asked, about: context, of: [(left, teacher), (right, student)], in: app)
            isAsking = false
        }
    }

    private var replies: (Reply, Reply)? {
        guard case .answered(let first) = left.state, case .answered(let second) = right.state
        else { return nil }
        return (first.reply, second.reply)
    }

    private var ratio: String? {
        guard let (first, second) = replies, second.times.infer > 0 else { return nil }
        let value = Double(first.times.infer) / Double(second.times.infer)
        return value.formatted(.number.precision(.fractionLength(2))) + " ×"
    }

    private var sameAnswer: Bool {
        guard let (first, second) = replies, let a = first.answers.first,
            let b = second.answers.first
        else { return false }
        return a.start == b.start && a.end == b.end
    }
}

/// One model's answer.
private struct ComparedSection: View {
    let title: String
    let question: QuestionModel

    var body: some View {
        switch question.state {
        case .idle: EmptyView()
        case .working: Section(title) { ProgressView() }
        case .failed(let message):
            Section(title) { Label(message, systemImage: "exclamationmark.triangle") }
        case .answered(let answered):
            Section(title) { ReplyView(answered: answered, context: question.context) }
        }
    }
}
