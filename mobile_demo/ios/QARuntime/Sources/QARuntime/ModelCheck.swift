import Foundation
import QACore

/// What came of a bundle's goldens on this phone.
public struct ModelCheck: Sendable, Equatable {
    /// Records that were compared.
    public private(set) var checked = 0
    /// The largest difference of an output value; nil if none could be taken.
    public private(set) var maxAbs: Double?
    /// The first fault; nil if there was none.
    public private(set) var failure: String?

    public var passed: Bool { failure == nil }

    /// Compare all goldens: those of the code, then those of the model.
    ///
    /// It ends at the first record of the model that fails.
    public static func run(_ records: [GoldenRecord], pipeline: Pipeline) -> ModelCheck {
        var check = ModelCheck()
        let code = GoldenCheck.run(records, tokenizer: pipeline.tokenizer)
        for count in [code.tokenize, code.window, code.decode] {
            check.checked += count.passed + count.failed
        }
        check.failure = code.firstFailure
        for record in records where check.passed {
            switch record {
            case .run(let record): check.compare(record, pipeline.model)
            case .answer(let record): check.compare(record, pipeline)
            case .tokenize, .window, .decode: break
            }
        }
        return check
    }

    private mutating func compare(_ record: RunRecord, _ model: any QAModel) {
        checked += 1
        do {
            let inputs = try ModelInputs(length: record.length, rows: record.inputs)
            let outputs = try model.run(inputs)
            for (role, expected) in record.outputs.sorted(by: { $0.key < $1.key }) where passed {
                let found = Difference(outputs[role] ?? [], expected)
                if let found { maxAbs = max(maxAbs ?? 0, found.maxAbs) }
                failure = Difference.failure(found, record).map { "\(role) logits: \($0)" }
            }
        } catch {
            failure = "at length \(record.length): \(error)"
        }
    }

    private mutating func compare(_ record: AnswerRecord, _ pipeline: Pipeline) {
        checked += 1
        do {
            let reply = try pipeline.answer(
                question: record.question.string, context: record.context.string,
                options: record.options)
            let best = reply.answers.first
            let same = best?.start == record.answer.start && best?.end == record.answer.end
            // Where the checkpoint hardly decided, another answer proves nothing.
            if !same && record.decisive {
                failure =
                    "'\(best?.text ?? "")' instead of '\(record.answer.text)' for "
                    + "'\(record.question.string)'"
            }
        } catch {
            failure = "'\(record.question.string)': \(error)"
        }
    }

    /// How far outputs are from what they should be.
    private struct Difference {
        var maxAbs = 0.0
        var cosine = 1.0

        /// Compare the values that are known; what follows them is padding. Nil if one is missing
        /// or not finite.
        init?(_ found: [Float], _ expected: [Float]) {
            guard found.count >= expected.count,
                found.prefix(expected.count).allSatisfy(\.isFinite)
            else { return nil }
            var (dot, squares, expectedSquares) = (0.0, 0.0, 0.0)
            for (a, b) in zip(found, expected).map({ (Double($0), Double($1)) }) {
                maxAbs = max(maxAbs, abs(a - b))
                dot += a * b
                squares += a * a
                expectedSquares += b * b
            }
            let norms = squares.squareRoot() * expectedSquares.squareRoot()
            cosine = norms > 0 ? dot / norms : (maxAbs == 0 ? 1 : 0)
        }

        static func failure(_ found: Difference?, _ record: RunRecord) -> String? {
            guard let found else {
                return "missing or not finite at length \(record.length)"
            }
            if let limit = record.maxAbs, found.maxAbs > limit {
                return "off by \(found.maxAbs) at length \(record.length), more than \(limit)"
            }
            if let least = record.minCosine, found.cosine < least {
                return "cosine \(found.cosine) at length \(record.length), less than \(least)"
            }
            return nil
        }
    }
}
