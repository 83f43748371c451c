/// The records of `golden.jsonl`; their types are those of `ondevice/golden_records.py`.
public enum GoldenRecord: Sendable {
    case tokenize(TokenizeRecord)
    case window(WindowRecord)
    case run(RunRecord)
    case decode(DecodeRecord)
    case answer(AnswerRecord)
}

public struct TokenizeRecord: Sendable {
    public let text: CodePoints
    public let tokens: Tokens
    public let utf16: [Range<Int>]
}

public struct WindowRecord: Sendable {
    public let question: CodePoints
    public let context: CodePoints
    public let options: QAOptions
    public let windows: [Window]
    public let utf16: [[Range<Int>]]
    /// `empty_question` or `empty_context`.
    public let error: String?
}

/// Model inputs of one length, with the checkpoint's outputs of the first `valid` tokens.
public struct RunRecord: Sendable {
    public let length: Int
    public let valid: Int
    public let inputs: [String: [Int32]]
    /// By role, row after row.
    public let outputs: [String: [Float]]
    public let maxAbs: Double?
    public let minCosine: Double?
}

public struct DecodeRecord: Sendable {
    public let name: String
    public let context: CodePoints
    public let options: QAOptions
    public let windows: [WindowLogits]
    public let answers: [Answer]
    /// `not_finite`.
    public let error: String?
}

public struct AnswerRecord: Sendable {
    public let question: CodePoints
    public let context: CodePoints
    public let options: QAOptions
    public let windows: Int
    public let answer: Answer
    public let utf16: Range<Int>
    public let margin: Double
    /// No artifact within its scheme's limit can come to another answer.
    public let decisive: Bool
}

public enum Goldens {
    /// Read a bundle's goldens.
    public static func read(_ bundle: ModelBundle) throws(QAError) -> [GoldenRecord] {
        try read(lines: bundle.read(ModelBundle.goldenFile))
    }

    /// Read JSON lines; the last may lack its end.
    static func read(lines bytes: [UInt8]) throws(QAError) -> [GoldenRecord] {
        var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        if lines.last?.isEmpty == true { lines.removeLast() }
        var records: [GoldenRecord] = []
        for (number, line) in lines.enumerated() {
            do throws(QAError) {
                records.append(try GoldenRecord(json: Array(line)))
            } catch {
                throw QAError(
                    .badGolden, "line \(number + 1) of the goldens is no record: \(error.message)")
            }
        }
        return records
    }
}
