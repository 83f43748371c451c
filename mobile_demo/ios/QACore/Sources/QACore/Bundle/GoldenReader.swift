extension GoldenRecord {
    /// Read one line strictly.
    init(json line: [UInt8]) throws(QAError) {
        let value: JSONValue
        do throws(JSONSyntaxError) {
            value = try JSONReader.parse(line)
        } catch {
            throw QAError(.badGolden, "\(error.message) (byte \(error.byte))")
        }
        let fields = try Fields(value, at: "", kind: .badGolden)
        switch try fields.word("kind", of: ["tokenize", "window", "run", "decode", "answer"]) {
        case "tokenize": self = .tokenize(try TokenizeRecord(fields))
        case "window": self = .window(try WindowRecord(fields))
        case "run": self = .run(try RunRecord(fields))
        case "decode": self = .decode(try DecodeRecord(fields))
        default: self = .answer(try AnswerRecord(fields))
        }
    }
}

extension Fields {
    fileprivate func tokens() throws(QAError) -> Tokens {
        let ranges = try ranges("offsets")
        return Tokens(
            ids: try ids("ids"), starts: ranges.map(\.start), ends: ranges.map(\.end))
    }

    fileprivate func ids(_ name: String) throws(QAError) -> [Int32] {
        try integers(name).map { (id) throws(QAError) in
            guard let id = Int32(exactly: id) else {
                throw QAError(.badGolden, "'\(place(name))' holds \(id), which is no id")
            }
            return id
        }
    }

    fileprivate func spans(_ name: String) throws(QAError) -> [Range<Int>] {
        try ranges(name).map { (range) throws(QAError) in try span(range, name) }
    }

    fileprivate func span(_ name: String) throws(QAError) -> Range<Int> {
        try span(range(name), name)
    }

    private func span(
        _ range: (start: Int32, end: Int32), _ name: String
    ) throws(QAError) -> Range<Int> {
        guard 0 <= range.start, range.start <= range.end else {
            throw QAError(.badGolden, "'\(place(name))' holds a range that ends before its start")
        }
        return Int(range.start)..<Int(range.end)
    }

    fileprivate func options() throws(QAError) -> QAOptions {
        do throws(QAError) {
            return try QAOptions(WindowInfo(fields("options")))
        } catch {
            throw QAError(.badGolden, error.message)
        }
    }

    /// What stands of a window in JSON, for goldens and requests alike.
    fileprivate func windowPlace() throws(QAError) -> WindowPlace {
        let offsets = try ranges("offsets")
        let context = try range("context")
        guard 0 <= context.start, context.start <= context.end, context.end <= offsets.count else {
            throw wrong("context", try value("context"), "a range of the window's tokens")
        }
        let marks = try integers("max_context")
        guard marks.count == offsets.count, marks.allSatisfy({ $0 == 0 || $0 == 1 }) else {
            throw wrong("max_context", try value("max_context"), "0 or 1 for each token")
        }
        return WindowPlace(
            starts: offsets.map(\.start), ends: offsets.map(\.end),
            context: Int(context.start)..<Int(context.end), maxContext: marks.map { $0 == 1 })
    }

    fileprivate func error(of kinds: [QAError.Kind]) throws(QAError) -> String? {
        guard has("error"), try value("error") != .null else { return nil }
        return try word("error", of: kinds.map(\.rawValue))
    }

    /// A finite number or null.
    fileprivate func limit(_ name: String) throws(QAError) -> Double? {
        try value(name) == .null ? nil : number(name)
    }

    fileprivate func answer() throws(QAError) -> Answer {
        try only(["text", "start", "end", "score", "probability"])
        return Answer(
            text: try string("text"), start: try integer("start", atLeast: 0),
            end: try integer("end", atLeast: 0), score: Float(try number("score")),
            probability: try number("probability"))
    }
}

extension WindowLogits {
    package init(_ fields: Fields, context: CodePoints) throws(QAError) {
        let place = try fields.windowPlace()
        let start = try fields.logits("start_logits")
        let end = try fields.logits("end_logits")
        guard start.count >= place.count, end.count >= place.count else {
            throw fields.wrong(
                "start_logits", try fields.value("start_logits"), "at least one for each token")
        }
        let inside = zip(place.starts, place.ends).allSatisfy {
            0 <= $0 && $0 <= $1 && $1 <= context.count
        }
        guard inside else {
            throw fields.wrong("offsets", try fields.value("offsets"), "ranges of the context")
        }
        self.init(place: place, start: start, end: end)
    }
}

extension TokenizeRecord {
    init(_ fields: Fields) throws(QAError) {
        try fields.only(["kind", "text", "ids", "offsets", "utf16_offsets"])
        text = try fields.codePoints("text")
        tokens = try fields.tokens()
        utf16 = try fields.spans("utf16_offsets")
    }
}

extension WindowRecord {
    init(_ fields: Fields) throws(QAError) {
        try fields.only(["kind", "question", "context", "options", "windows", "error"])
        question = try fields.codePoints("question")
        context = try fields.codePoints("context")
        options = try fields.options()
        let rows = try fields.list("windows") { (row) throws(QAError) in
            try row.only([
                "input_ids", "token_type_ids", "offsets", "utf16_offsets", "context", "max_context",
            ])
            return (
                Window(
                    inputIDs: try row.ids("input_ids"), tokenTypeIDs: try row.ids("token_type_ids"),
                    place: try row.windowPlace()), try row.spans("utf16_offsets")
            )
        }
        windows = rows.map(\.0)
        utf16 = rows.map(\.1)
        error = try fields.error(of: [.emptyQuestion, .emptyContext])
    }
}

extension RunRecord {
    init(_ fields: Fields) throws(QAError) {
        try fields.only([
            "kind", "length", "valid", "inputs", "outputs", "max_abs", "min_cosine",
        ])
        length = try fields.integer("length", atLeast: 1)
        valid = try fields.integer("valid", atLeast: 1)
        inputs = try fields.dictionary("inputs") { (inner, name) throws(QAError) in
            try inner.ids(name)
        }
        outputs = try fields.dictionary("outputs") { (inner, name) throws(QAError) in
            try Self.numbers(inner.value(name), inner.place(name))
        }
        maxAbs = try fields.limit("max_abs")
        minCosine = try fields.limit("min_cosine")
    }

    /// [1, W], [1, L] or [1, L, C] as one row after the other.
    private static func numbers(_ value: JSONValue, _ place: String) throws(QAError) -> [Float] {
        var numbers: [Float] = []
        func collect(_ value: JSONValue, depth: Int) throws(QAError) {
            switch value {
            case .array(let items) where depth < 3:
                for item in items { try collect(item, depth: depth + 1) }
            case .integer(let number) where depth > 1: numbers.append(Float(number))
            case .number(let number) where depth > 1 && number.isFinite:
                numbers.append(Float(number))
            default:
                throw QAError(.badGolden, "'\(place)' is no array of [1, W], [1, L] or [1, L, C]")
            }
        }
        try collect(value, depth: 0)
        return numbers
    }
}

extension DecodeRecord {
    init(_ fields: Fields) throws(QAError) {
        try fields.only(["kind", "name", "context", "options", "windows", "answers", "error"])
        name = try fields.string("name")
        let context = try fields.codePoints("context")
        self.context = context
        options = try fields.options()
        windows = try fields.list("windows") { (window) throws(QAError) in
            try window.only([
                "offsets", "context", "max_context", "start_logits", "end_logits",
            ])
            return try WindowLogits(window, context: context)
        }
        answers = try fields.list("answers") { (answer) throws(QAError) in try answer.answer() }
        error = try fields.error(of: [.notFinite])
    }
}

extension AnswerRecord {
    init(_ fields: Fields) throws(QAError) {
        try fields.only([
            "kind", "question", "context", "options", "windows", "answer", "utf16", "margin",
            "decisive",
        ])
        question = try fields.codePoints("question")
        context = try fields.codePoints("context")
        options = try fields.options()
        windows = try fields.integer("windows", atLeast: 1)
        answer = try fields.fields("answer").answer()
        utf16 = try fields.span("utf16")
        margin = try fields.number("margin")
        decisive = try fields.bool("decisive")
    }
}
