import Foundation
import QACore
import QARuntime

/// A benchmark that is started from outside, by launch environment:
///
///     ONDEVICE_BENCHMARK=1    measure, write Documents/benchmark.json, and exit
///     ONDEVICE_BUNDLE=NAME    which bundle; by default the first
///     ONDEVICE_ITERATIONS=N   timed runs at each length, 50 to 1,000; by default 50
struct HeadlessOptions: Sendable, Equatable {
    let bundle: String?
    let iterations: Int

    /// Nil unless a benchmark is asked for.
    init?(environment: [String: String]) {
        guard environment["ONDEVICE_BENCHMARK"] == "1" else { return nil }
        bundle = environment["ONDEVICE_BUNDLE"]
        let asked = environment["ONDEVICE_ITERATIONS"].flatMap { Int($0) }
        iterations = BenchmarkProtocol.iterations(asked ?? BenchmarkProtocol.leastIterations)
    }
}

enum HeadlessBenchmark {
    static let file = "benchmark.json"

    /// Measure and write the document; return the process's exit code.
    static func run(
        _ options: HeadlessOptions, progress: @escaping @Sendable (BenchmarkProgress) -> Void
    ) async -> Int32 {
        do {
            // An old document must not be taken for the new one.
            let old = try Benchmarks.documents().appendingPathComponent(file)
            try? FileManager.default.removeItem(at: old)
            let document = try await Benchmarks.run(
                directory(options), iterations: options.iterations, progress: progress)
            _ = try Benchmarks.write(document, name: file)
            say(document.isComplete ? "complete" : "partial: \(document.reason)")
            return document.isComplete ? 0 : 3
        } catch {
            say("failed: \(error)")
            return 2
        }
    }

    private static func directory(_ options: HeadlessOptions) throws -> URL {
        let entries = AppFiles.bundles()
        guard let entry = entries.first(where: { $0.id == options.bundle ?? $0.id }) else {
            let known = entries.map(\.id).joined(separator: ", ")
            throw EngineError(
                "there is no bundle '\(options.bundle ?? "")'; the app has: \(known)")
        }
        return entry.directory
    }

    /// `devicectl device process launch --console` shows it.
    private static func say(_ text: String) {
        FileHandle.standardError.write(Data("OnDeviceQA benchmark: \(text)\n".utf8))
    }
}
