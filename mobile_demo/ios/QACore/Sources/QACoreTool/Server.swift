import Foundation
import QACore

/// Answers requests, one JSON object each.
struct Server {
    private let tokenizer: Result<WordPieceTokenizer, QAError>

    init(vocabulary path: String?, lowercase: Bool, stripAccents: Bool) {
        tokenizer = Result { () throws(QAError) in
            guard let path else {
                throw QAError(.noVocabulary, "this request needs --vocab, which was not given")
            }
            guard let data = FileManager.default.contents(atPath: path) else {
                throw QAError(.noVocabulary, "the vocabulary '\(path)' cannot be read")
            }
            return WordPieceTokenizer(
                vocabulary: try Vocabulary(utf8: [UInt8](data)),
                lowercase: lowercase, stripAccents: stripAccents)
        }
    }

    func answer(_ line: [UInt8]) -> JSONValue {
        do throws(QAError) {
            return try perform(Request(line))
        } catch {
            return [
                "error": .string(error.kind.rawValue), "message": .string(error.message),
            ]
        }
    }

    private func perform(_ request: Request) throws(QAError) -> JSONValue {
        switch request.operation {
        case "tokenize": try tokenize(request)
        case "windows": try windows(request)
        case "decode": try decode(request)
        case "statistics": try statistics(request)
        case "bundle": try bundle(request)
        case "goldens": try goldens(request)
        case "time": try time(request)
        case "time_decode": try timeDecode(request)
        default: throw QAError(.badRequest, "there is no op '\(request.operation)'")
        }
    }

    private func tokenize(_ request: Request) throws(QAError) -> JSONValue {
        let text = try request.text("text")
        let tokens = try tokenizer.get().tokenize(text)
        return [
            "ids": .integers(tokens.ids),
            "offsets": .ranges(tokens.starts, tokens.ends),
            "utf16_offsets": .utf16Ranges(tokens.starts, tokens.ends, text),
        ]
    }

    private func windows(_ request: Request) throws(QAError) -> JSONValue {
        let (question, context) = (try request.text("question"), try request.text("context"))
        let options = try request.options()
        let windows = try tokenizer.get().windows(
            question: question, context: context, options: options)
        return [
            "windows": .array(
                windows.map { window in
                    let place = window.place
                    return [
                        "input_ids": .integers(window.inputIDs),
                        "token_type_ids": .integers(window.tokenTypeIDs),
                        "offsets": .ranges(place.starts, place.ends),
                        "utf16_offsets": .utf16Ranges(place.starts, place.ends, context),
                        "context": [
                            .integer(place.context.lowerBound), .integer(place.context.upperBound),
                        ],
                        "max_context": .array(place.maxContext.map { .integer($0 ? 1 : 0) }),
                    ]
                })
        ]
    }

    private func decode(_ request: Request) throws(QAError) -> JSONValue {
        let context = try request.text("context")
        let answers = try QACore.decode(
            request.windows(in: context), context: context, options: request.options())
        return [
            "answers": .array(
                answers.map { answer in
                    [
                        "text": .string(answer.text),
                        "start": .integer(answer.start),
                        "end": .integer(answer.end),
                        "score": .number(Double(answer.score)),
                        "probability": .number(answer.probability),
                    ]
                })
        ]
    }

    private func statistics(_ request: Request) throws(QAError) -> JSONValue {
        guard let found = Statistics(try request.numbers("samples")) else {
            throw QAError(.badRequest, "there are no samples, or they are out of range")
        }
        return [
            "count": .integer(found.count), "mean": .number(found.mean), "min": .number(found.min),
            "max": .number(found.max), "median": .number(found.median), "p90": .number(found.p90),
            "p99": .number(found.p99),
        ]
    }

    private func bundle(_ request: Request) throws(QAError) -> JSONValue {
        let bundle = try ModelBundle(directory: request.directory("path"))
        try bundle.verify()
        let manifest = bundle.manifest
        return [
            "model": .string(manifest.model.name), "task": .string(manifest.task),
            "target": .string(manifest.artifact.target),
            "scheme": .string(manifest.artifact.scheme),
            "lengths": .array(manifest.artifact.lengths.map { .integer($0) }),
            "files": .integer(manifest.files.count),
        ]
    }

    private func goldens(_ request: Request) throws(QAError) -> JSONValue {
        let bundle = try ModelBundle(directory: request.directory("path"))
        let report = try GoldenCheck.run(
            Goldens.read(bundle), tokenizer: bundle.tokenizer())
        func counts(_ count: GoldenCheck.Count) -> JSONValue {
            ["passed": .integer(count.passed), "failed": .integer(count.failed)]
        }
        return [
            "tokenize": counts(report.tokenize), "window": counts(report.window),
            "decode": counts(report.decode),
            "first_failure": report.firstFailure.map { .string($0) } ?? .null,
        ]
    }

    private func time(_ request: Request) throws(QAError) -> JSONValue {
        let text = try request.text("text").string
        let tokenizer = try tokenizer.get()
        var tokens = 0
        let times = try timed(request.repetitions()) { () throws(QAError) in
            // From a string, as an app has it.
            tokens = tokenizer.tokenize(CodePoints(text)).count
        }
        return ["tokens": .integer(tokens), "nanoseconds": times]
    }

    private func timeDecode(_ request: Request) throws(QAError) -> JSONValue {
        let context = try request.text("context")
        let (windows, options) = (try request.windows(in: context), try request.options())
        let times = try timed(request.repetitions()) { () throws(QAError) in
            _ = try QACore.decode(windows, context: context, options: options)
        }
        return ["nanoseconds": times]
    }

    private func timed(
        _ repetitions: Int, _ body: () throws(QAError) -> Void
    ) throws(QAError) -> JSONValue {
        var times: [JSONValue] = []
        for _ in 0..<repetitions {
            let begin = DispatchTime.now().uptimeNanoseconds
            try body()
            times.append(.integer(Int(DispatchTime.now().uptimeNanoseconds - begin)))
        }
        return .array(times)
    }
}
