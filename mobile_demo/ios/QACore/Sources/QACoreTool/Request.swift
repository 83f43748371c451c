import Foundation
import QACore

/// A request's fields.
struct Request {
    let operation: String
    private let fields: Fields

    init(_ line: [UInt8]) throws(QAError) {
        let value: JSONValue
        do throws(JSONSyntaxError) {
            value = try JSONReader.parse(line)
        } catch {
            throw QAError(
                .badRequest, "the line is not JSON: \(error.message) (byte \(error.byte))")
        }
        fields = try Fields(value, at: "", kind: .badRequest)
        operation = try fields.string("op")
    }

    func text(_ name: String) throws(QAError) -> CodePoints { try fields.codePoints(name) }

    func numbers(_ name: String) throws(QAError) -> [Double] { try fields.numbers(name) }

    func directory(_ name: String) throws(QAError) -> URL {
        URL(fileURLWithPath: try fields.string(name), isDirectory: true)
    }

    func options() throws(QAError) -> QAOptions {
        try QAOptions(WindowInfo(fields.fields("options")))
    }

    /// A million repetitions of the shortest text take seconds.
    func repetitions() throws(QAError) -> Int {
        let count = try fields.integer("repeat", atLeast: 1)
        guard count <= 1_000_000 else {
            throw QAError(.badRequest, "'repeat' must be at most 1000000, not \(count)")
        }
        return count
    }

    func windows(in context: CodePoints) throws(QAError) -> [WindowLogits] {
        try fields.list("windows") { (window) throws(QAError) in
            try WindowLogits(window, context: context)
        }
    }
}
