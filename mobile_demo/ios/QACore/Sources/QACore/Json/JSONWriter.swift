/// Writes JSON without spaces, as UTF-8 on one line.
public struct JSONWriter {
    public static func bytes(_ value: JSONValue) -> [UInt8] {
        var writer = JSONWriter()
        writer.write(value)
        return writer.bytes
    }

    private var bytes: [UInt8] = []

    private mutating func write(_ value: JSONValue) {
        switch value {
        case .null: put("null")
        case .bool(let flag): put(flag ? "true" : "false")
        case .integer(let number): put(String(number))
        // JSON has no word for infinity and NaN.
        case .number(let number): put(number.isFinite ? "\(number)" : "null")
        case .string(let text): write(text)
        case .array(let items):
            list("[", "]", items) { $0.write($1) }
        case .object(let members):
            list("{", "}", members) { writer, member in
                writer.write(CodePoints(member.name))
                writer.put(":")
                writer.write(member.value)
            }
        }
    }

    private mutating func list<Item>(
        _ open: String, _ close: String, _ items: [Item], _ each: (inout JSONWriter, Item) -> Void
    ) {
        put(open)
        for (place, item) in items.enumerated() {
            if place > 0 { put(",") }
            each(&self, item)
        }
        put(close)
    }

    private mutating func write(_ text: CodePoints) {
        put("\"")
        for value in text.values {
            switch value {
            case 0x22: put("\\\"")
            case 0x5C: put("\\\\")
            // Some readers take these for the end of a line.
            case ..<0x20, 0x7F, 0x85, 0x2028, 0x2029:
                let digits = String(value, radix: 16)
                put("\\u" + String(repeating: "0", count: 4 - digits.count) + digits)
            case ..<0x80: bytes.append(UInt8(value))
            default: bytes += Array(String(Unicode.Scalar(value) ?? "\u{FFFD}").utf8)
            }
        }
        put("\"")
    }

    private mutating func put(_ text: String) {
        bytes += Array(text.utf8)
    }
}

extension JSONValue: ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral {
    public init(arrayLiteral items: JSONValue...) {
        self = .array(items)
    }

    public init(dictionaryLiteral members: (String, JSONValue)...) {
        self = .object(members.map { JSONMember($0.0, $0.1) })
    }

    public static func string(_ text: String) -> JSONValue { .string(CodePoints(text)) }
}
