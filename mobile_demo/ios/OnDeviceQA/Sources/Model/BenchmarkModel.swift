import Foundation
import Observation
import QACore
import QARuntime
import UIKit

/// Runs the benchmark of one model and keeps its document for sharing.
@MainActor
@Observable
final class BenchmarkModel {
    private(set) var progress: BenchmarkProgress?
    private(set) var document: BenchmarkDocument?
    /// The document's file, for the share sheet.
    private(set) var file: URL?
    private(set) var problem: String?
    private var task: Task<Void, Never>?

    var isRunning: Bool { task != nil }

    func start(_ id: String, iterations: Int, in app: AppModel) {
        guard task == nil, let directory = app.directory(id) else { return }
        (document, file, problem) = (nil, nil, nil)
        progress = BenchmarkProgress(step: "Comparing hashes", share: 0)
        app.isMeasuring = true
        task = Task {
            defer { app.isMeasuring = false }
            await app.unloadAll()
            do {
                let found = try await Benchmarks.run(directory, iterations: iterations) { step in
                    Task { @MainActor in self.show(step) }
                }
                document = found
                file = try Benchmarks.write(found, name: "benchmark-\(id).json")
                problem = found.isComplete ? nil : found.reason
            } catch {
                problem = "\(error)"
            }
            progress = nil
            task = nil
        }
    }

    func cancel() {
        task?.cancel()
    }

    /// Reports may arrive after the end, or out of order.
    private func show(_ step: BenchmarkProgress) {
        if let progress, progress.share <= step.share { self.progress = step }
    }
}

/// What the Benchmark screen and headless runs share.
enum Benchmarks {
    /// Compare a bundle's hashes, then measure it. A phone that locks itself would suspend the app.
    @MainActor
    static func run(
        _ directory: URL, iterations: Int,
        progress: @escaping @Sendable (BenchmarkProgress) -> Void
    ) async throws -> BenchmarkDocument {
        UIApplication.shared.isIdleTimerDisabled = true
        defer { UIApplication.shared.isIdleTimerDisabled = false }
        let passages = try AppFiles.passages()
        guard let passage = passages.first, let question = passage.questions.first else {
            throw QAError(.badPassages, "there is no passage with a question")
        }
        let bundle = try await open(directory)
        let runner = BenchmarkRunner(
            bundle: bundle, question: question, passage: passage.context, iterations: iterations,
            environment: BenchmarkRunner.Environment(
                state: { await DeviceProbe.state() }, appVersion: AppFiles.appVersion))
        return await runner.run(progress: progress)
    }

    /// Write a document into the app's Documents, whole or not at all.
    static func write(_ document: BenchmarkDocument, name: String) throws -> URL {
        let file = try documents().appendingPathComponent(name)
        try Data(document.bytes).write(to: file, options: .atomic)
        return file
    }

    static func documents() throws -> URL {
        try FileManager.default.url(
            for: .documentDirectory, in: .userDomainMask, appropriateFor: nil, create: true)
    }

    /// Off the main actor: hashing a model takes a while.
    private nonisolated static func open(_ directory: URL) async throws -> ModelBundle {
        try BundleLibrary.open(directory)
    }
}
