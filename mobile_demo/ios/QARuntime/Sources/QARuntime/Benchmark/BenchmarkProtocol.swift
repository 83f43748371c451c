import Foundation
import QACore

/// The runs at one length: those of the warm-up, and the timed ones in their order.
public struct TimedRuns: Sendable, Equatable {
    public let length: Int
    public let warmup: [StageTimes]
    /// Whether the warm-up ended because times had settled.
    public let stable: Bool
    public let samples: [StageTimes]
}

/// When runs count: after their times have settled. The rule of `ondevice/bench/protocol.py`.
public enum BenchmarkProtocol {
    public static let leastIterations = 50
    public static let mostIterations = 1_000
    public static let warmLoads = 10
    static let warmupRule =
        "until the median of 3 runs is within 5% of that of the 3 before, at most 30 runs"
    static let loadCold =
        "the first load in a fresh process, the app already running, with every length made ready to"
        + " run (LiteRT makes room for a length at its first run only); files were read once to"
        + " compare their hashes, so they may be in the system's page cache, and a Core ML package"
        + " was compiled before"
    private static let window = 3
    private static let tolerance = 0.05
    private static let warmupMost = 30
    /// Thread pools go on spinning for a while after a run.
    private static let pauseSeconds = 0.01

    /// The number of timed runs for one that was asked for: as near to it as there may be.
    public static func iterations(_ asked: Int) -> Int {
        min(max(asked, leastIterations), mostIterations)
    }

    /// Warm up, then time.
    ///
    /// - Parameters:
    ///   - progress: hears of each timed run, and of how many there are.
    ///   - pause: waits before each run.
    /// - Throws: what a run throws, and `CancellationError`.
    static func time(
        length: Int, iterations: Int, progress: (Int) -> Void = { _ in },
        pause: () -> Void = { Thread.sleep(forTimeInterval: pauseSeconds) },
        run: () throws -> StageTimes
    ) throws -> TimedRuns {
        func once() throws -> StageTimes {
            try Task.checkCancellation()
            pause()
            return try run()
        }
        var warmup: [StageTimes] = []
        var stable = false
        while warmup.count < warmupMost && !stable {
            warmup.append(try once())
            stable = isStable(warmup.map(\.total))
        }
        var samples: [StageTimes] = []
        for done in 0..<iterations {
            progress(done)
            samples.append(try once())
        }
        progress(iterations)
        return TimedRuns(length: length, warmup: warmup, stable: stable, samples: samples)
    }

    /// Whether the last runs take as long as those before them.
    static func isStable(_ times: [Int]) -> Bool {
        guard times.count >= 2 * window else { return false }
        func median(_ times: some Sequence<Int>) -> Double {
            Statistics(times.map(Double.init))?.median ?? 0
        }
        let before = median(times.dropLast(window).suffix(window))
        return abs(median(times.suffix(window)) - before) <= tolerance * before
    }
}

/// A question and a context that together fill one window of a length, as far as tokens allow.
public enum Workload {
    // More text than any length holds, and not so much that tokenizing it takes long.
    private static let repeats = 200
    private static let charactersForEachToken = 40

    static func fullPair(
        tokenizer: WordPieceTokenizer, question: String, passage: String, length: Int
    ) throws(QAError) -> (question: String, context: String) {
        let options = try self.options(length)
        let repeated = Array(repeating: passage, count: repeats).joined(separator: " ")
        let long = CodePoints(repeated).prefix(charactersForEachToken * length)
        let asked = CodePoints(question)
        let first = try tokenizer.windows(question: asked, context: long, options: options)[0].place
        for last in first.context.reversed() {
            let context = long.prefix(Int(first.ends[last]))
            // Cut inside a word, its pieces may be others, and more.
            if try tokenizer.windows(question: asked, context: context, options: options).count == 1
            {
                return (question, context.string)
            }
        }
        throw QAError(.badRequest, "no context fits a window of \(length) tokens")
    }

    /// The defaults, with stride and query scaled down to fit windows of a length.
    static func options(_ length: Int) throws(QAError) -> QAOptions {
        try QAOptions(
            maxLength: length, docStride: min(128, length / 3),
            maxQuery: min(64, length / 3, length - 12))
    }
}
