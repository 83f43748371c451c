import QARuntime
import SwiftUI

/// Measures a model and shares the result. It leaves the phone only by the user's own hand.
struct BenchmarkView: View {
    private static let choices = [50, 100, 200]

    @Environment(AppModel.self) private var app
    @Environment(\.scenePhase) private var phase
    @State private var benchmark = BenchmarkModel()
    @State private var picked: String?
    @State private var iterations = BenchmarkProtocol.leastIterations

    var body: some View {
        NavigationStack {
            List {
                ProblemsSection()
                Section {
                    ModelPicker(title: "Model", selection: $picked)
                    Picker("Runs at each length", selection: $iterations) {
                        ForEach(Self.choices, id: \.self) { Text("\($0)").tag($0) }
                    }
                } footer: {
                    Text(
                        "Unplug the phone, turn Low Power Mode off, and leave the app in front. The"
                            + " result says how warm the phone was before and after.")
                }
                .disabled(benchmark.isRunning)
                if let progress = benchmark.progress {
                    Section("Running") {
                        ProgressView(value: progress.share) { Text(progress.step) }
                        Button("Stop", role: .destructive) { benchmark.cancel() }
                    }
                } else {
                    Button("Start") { start() }
                        .disabled(picked == nil)
                        .accessibilityIdentifier("start")
                }
                result
            }
            .navigationTitle("Benchmark")
            .onAppear { picked = picked ?? app.picked }
            // The system suspends an app in the background: its times would mean nothing.
            .onChange(of: phase) { if phase == .background { benchmark.cancel() } }
        }
    }

    @ViewBuilder private var result: some View {
        if let problem = benchmark.problem {
            Section("Not complete") {
                Label(problem, systemImage: "exclamationmark.triangle")
            }
        }
        if let document = benchmark.document, let file = benchmark.file {
            Section("Result") {
                ForEach(document.summary, id: \.self) { row in
                    LabeledContent(
                        row.length.map { "\(row.name), \($0) tokens" } ?? row.name,
                        value: "\(Format.milliseconds(row.median)) (p90 "
                            + "\(Format.milliseconds(row.p90)))")
                }
                ShareLink("Share the result", item: file)
                    .accessibilityIdentifier("share")
            }
        }
    }

    private func start() {
        if let picked { benchmark.start(picked, iterations: iterations, in: app) }
    }
}

/// A benchmark that was started from outside; the app ends with it.
struct HeadlessView: View {
    let options: HeadlessOptions
    @State private var step = "Starting"
    @State private var task: Task<Int32, Never>?
    @Environment(\.scenePhase) private var phase

    var body: some View {
        VStack {
            ProgressView()
            Text(step)
        }
        .task {
            let started = Task {
                await HeadlessBenchmark.run(options) { progress in
                    Task { @MainActor in step = progress.step }
                }
            }
            task = started
            exit(await started.value)
        }
        .onChange(of: phase) { if phase == .background { task?.cancel() } }
    }
}
