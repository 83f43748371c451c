/// Compares the core with a bundle's goldens, those that need no model.
public struct GoldenCheck: Sendable, Equatable {
    public struct Count: Sendable, Equatable {
        public var passed = 0
        public var failed = 0
    }

    public private(set) var tokenize = Count()
    public private(set) var window = Count()
    public private(set) var decode = Count()
    public private(set) var firstFailure: String?

    /// Goldens give scores and probabilities in six decimals.
    static let tolerance = 1e-6

    public static func run(
        _ records: [GoldenRecord], tokenizer: WordPieceTokenizer
    ) -> GoldenCheck {
        var check = GoldenCheck()
        for record in records {
            switch record {
            case .tokenize(let record):
                check.note(
                    \.tokenize, fault(record, tokenizer), "tokenize \(shown(record.text))")
            case .window(let record):
                check.note(
                    \.window, fault(record, tokenizer),
                    "window of \(record.options.maxLength), \(shown(record.context))")
            case .decode(let record):
                check.note(\.decode, fault(record), "decode '\(record.name)'")
            case .run, .answer: break
            }
        }
        return check
    }

    private mutating func note(
        _ count: WritableKeyPath<GoldenCheck, Count>, _ fault: String?, _ record: String
    ) {
        guard let fault else {
            self[keyPath: count].passed += 1
            return
        }
        self[keyPath: count].failed += 1
        firstFailure = firstFailure ?? "\(record): \(fault)"
    }

    private static func shown(_ text: CodePoints) -> String {
        text.count > 40 ? "'\(text.string(0, 40))…'" : "'\(text.string)'"
    }

    // MARK: - What is wrong, or nil

    private static func fault(
        _ record: TokenizeRecord, _ tokenizer: WordPieceTokenizer
    ) -> String? {
        let tokens = tokenizer.tokenize(record.text)
        if tokens.ids != record.tokens.ids { return "other ids" }
        if tokens != record.tokens { return "other offsets" }
        let utf16 = utf16Ranges(tokens.starts, tokens.ends, record.text)
        return utf16 == record.utf16 ? nil : "other UTF-16 offsets"
    }

    private static func fault(_ record: WindowRecord, _ tokenizer: WordPieceTokenizer) -> String? {
        let windows: [Window]
        do throws(QAError) {
            windows = try tokenizer.windows(
                question: record.question, context: record.context, options: record.options)
        } catch {
            return error.kind.rawValue == record.error ? nil : "error \(error.kind.rawValue)"
        }
        if let expected = record.error { return "windows instead of the error \(expected)" }
        if windows.count != record.windows.count { return "\(windows.count) windows" }
        if windows != record.windows { return "other windows" }
        let utf16 = windows.map { utf16Ranges($0.place.starts, $0.place.ends, record.context) }
        return utf16 == record.utf16 ? nil : "other UTF-16 offsets"
    }

    private static func fault(_ record: DecodeRecord) -> String? {
        let answers: [Answer]
        do throws(QAError) {
            answers = try QACore.decode(
                record.windows, context: record.context, options: record.options)
        } catch {
            return error.kind.rawValue == record.error ? nil : "error \(error.kind.rawValue)"
        }
        if let expected = record.error { return "answers instead of the error \(expected)" }
        if answers.count != record.answers.count { return "\(answers.count) answers" }
        for (place, (found, expected)) in zip(answers, record.answers).enumerated() {
            let sameSpan =
                found.start == expected.start && found.end == expected.end
                && found.text.utf8.elementsEqual(expected.text.utf8)
            let near =
                abs(Double(found.score) - Double(expected.score)) <= tolerance
                && abs(found.probability - expected.probability) <= tolerance
            if !sameSpan || !near { return "another answer in place \(place + 1)" }
        }
        return nil
    }

    private static func utf16Ranges(
        _ starts: [Int32], _ ends: [Int32], _ text: CodePoints
    ) -> [Range<Int>] {
        zip(starts, ends).map { text.utf16Offset(Int($0))..<text.utf16Offset(Int($1)) }
    }
}
