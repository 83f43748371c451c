import Foundation
import QACore

/// How long each stage of one question took, in ns.
public struct StageTimes: Sendable, Equatable {
    public let tokenize: Int
    public let infer: Int
    public let decode: Int

    public init(tokenize: Int, infer: Int, decode: Int) {
        self.tokenize = tokenize
        self.infer = infer
        self.decode = decode
    }

    public var total: Int { tokenize + infer + decode }
}

/// A question's answers, best first, and how they came about.
public struct Reply: Sendable, Equatable {
    public let answers: [Answer]
    /// For each window, in reading order, the length that it was padded to.
    public let lengths: [Int]
    public let times: StageTimes
}

/// A monotonic clock in ns; tests bring their own.
public typealias Clock = @Sendable () -> UInt64

public enum Clocks {
    /// `mach_absolute_time` in ns on Apple's systems.
    public static let system: Clock = { DispatchTime.now().uptimeNanoseconds }
    public static let systemName = "DispatchTime.uptimeNanoseconds"
}

/// Text in, answers out: tokenize, cut windows, run each at the shortest length, choose spans.
public final class Pipeline {
    public let tokenizer: WordPieceTokenizer
    public let model: any QAModel
    private let manifest: Manifest
    private let lengths: [Int]
    private let now: Clock

    public init(
        manifest: Manifest, tokenizer: WordPieceTokenizer, model: any QAModel,
        now: @escaping Clock = Clocks.system
    ) throws(QAError) {
        guard manifest.task == "qa" else {
            throw QAError(
                .badManifest, "the bundle's task is '\(manifest.task)'; questions need one of 'qa'")
        }
        self.manifest = manifest
        self.tokenizer = tokenizer
        self.model = model
        self.now = now
        lengths = manifest.artifact.lengths.sorted()
    }

    /// Answer a question from a context of any length.
    ///
    /// - Parameters:
    ///   - options: how to cut windows; by default as the manifest says.
    ///   - length: run at this length only.
    /// - Throws: `QAError` or `EngineError`.
    public func answer(
        question: String, context: String, options: QAOptions? = nil, at length: Int? = nil
    ) throws -> Reply {
        let options = try options ?? QAOptions(manifest.window)
        let lengths = length.map { [$0] } ?? self.lengths

        let begin = now()
        let text = CodePoints(context)
        let windows = try tokenizer.windows(
            question: CodePoints(question), context: text, options: options)
        let sizes = windows.map { window in
            lengths.first { $0 >= window.count } ?? lengths[lengths.count - 1]
        }
        let inputs = try zip(windows, sizes).map { window, size in
            try ModelInputs(window, length: size, padID: manifest.tokenizer.padID)
        }
        let tokenized = now()
        let outputs = try inputs.map { try model.run($0) }
        let inferred = now()
        let logits = try zip(windows, outputs).map { window, outputs in
            guard let start = outputs["start"], let end = outputs["end"] else {
                throw EngineError("the artifact has no outputs for start and end")
            }
            return WindowLogits(place: window.place, start: start, end: end)
        }
        let answers = try decode(logits, context: text, options: options)
        let decoded = now()
        return Reply(
            answers: answers, lengths: sizes,
            times: StageTimes(
                tokenize: Int(tokenized - begin), infer: Int(inferred - tokenized),
                decode: Int(decoded - inferred)))
    }
}
