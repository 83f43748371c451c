/// A JSON document as it was written: whole numbers apart from others, members in their order.
///
/// Foundation's reader refuses unpaired surrogates, which the protocol reads as U+FFFD, and does
/// not tell `1` from `1.0` or `true`, which the manifest's strict schema does.
public enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    case integer(Int)
    /// A number with a fraction or an exponent, or beyond 64 bits; may be infinite.
    case number(Double)
    case string(CodePoints)
    case array([JSONValue])
    case object([JSONMember])

    /// What it is, for messages.
    var kindName: String {
        switch self {
        case .null: "null"
        case .bool: "a boolean"
        case .integer: "a whole number"
        case .number: "a number"
        case .string: "a text"
        case .array: "a list"
        case .object: "an object"
        }
    }
}

public struct JSONMember: Sendable, Equatable {
    public let name: String
    public let value: JSONValue

    public init(_ name: String, _ value: JSONValue) {
        self.name = name
        self.value = value
    }
}

/// Why a text is not JSON.
public struct JSONSyntaxError: Error, Equatable, Sendable {
    public let message: String
    /// Place in the text, in bytes.
    public let byte: Int
}
