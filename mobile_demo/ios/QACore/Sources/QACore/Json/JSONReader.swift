/// Reads JSON (RFC 8259) from UTF-8 bytes.
public struct JSONReader {
    /// Each level is a call on the stack; no document of ours is deeper than ten.
    static let maxDepth = 64

    private let bytes: UnsafeBufferPointer<UInt8>
    private var place = 0

    public static func parse(_ bytes: [UInt8]) throws(JSONSyntaxError) -> JSONValue {
        let result = bytes.withUnsafeBufferPointer { buffer -> Result<JSONValue, JSONSyntaxError> in
            var reader = JSONReader(bytes: buffer)
            do throws(JSONSyntaxError) {
                return .success(try reader.document())
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    private init(bytes: UnsafeBufferPointer<UInt8>) {
        self.bytes = bytes
    }

    private mutating func document() throws(JSONSyntaxError) -> JSONValue {
        let value = try self.value(depth: 0)
        skipSpace()
        guard place == bytes.count else { throw failure("more follows after the end") }
        return value
    }

    private mutating func value(depth: Int) throws(JSONSyntaxError) -> JSONValue {
        skipSpace()
        guard place < bytes.count else { throw failure("it ends too early") }
        switch bytes[place] {
        case UInt8(ascii: "{"): return try object(depth: depth + 1)
        case UInt8(ascii: "["): return try array(depth: depth + 1)
        case UInt8(ascii: "\""): return .string(CodePoints(try codePoints()))
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        default: return try number()
        }
    }

    private mutating func object(depth: Int) throws(JSONSyntaxError) -> JSONValue {
        try open(depth)
        var members: [JSONMember] = []
        skipSpace()
        if take("}") { return .object(members) }
        while true {
            skipSpace()
            guard place < bytes.count, bytes[place] == UInt8(ascii: "\"") else {
                throw failure("a member's name is missing")
            }
            let name = CodePoints(try codePoints()).string
            skipSpace()
            guard take(":") else { throw failure("':' is missing") }
            members.append(JSONMember(name, try value(depth: depth)))
            skipSpace()
            if take("}") { return .object(members) }
            guard take(",") else { throw failure("',' or '}' is missing") }
        }
    }

    private mutating func array(depth: Int) throws(JSONSyntaxError) -> JSONValue {
        try open(depth)
        var items: [JSONValue] = []
        skipSpace()
        if take("]") { return .array(items) }
        while true {
            items.append(try value(depth: depth))
            skipSpace()
            if take("]") { return .array(items) }
            guard take(",") else { throw failure("',' or ']' is missing") }
        }
    }

    private mutating func open(_ depth: Int) throws(JSONSyntaxError) {
        guard depth <= Self.maxDepth else {
            throw failure("it is nested deeper than \(Self.maxDepth) levels")
        }
        place += 1
    }

    private mutating func word(
        _ text: StaticString, _ value: JSONValue
    ) throws(JSONSyntaxError) -> JSONValue {
        let expected = UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
        guard bytes.count - place >= expected.count,
            bytes[place..<place + expected.count].elementsEqual(expected)
        else { throw failure("a value is expected") }
        place += expected.count
        return value
    }

    // MARK: - Numbers

    private mutating func number() throws(JSONSyntaxError) -> JSONValue {
        let begin = place
        let negative = take("-")
        let digits = place
        guard let whole = takeDigits() else { throw failure("a value is expected") }
        guard place - digits == 1 || bytes[digits] != UInt8(ascii: "0") else {
            throw failure("a number begins with 0")
        }
        var isInteger = true
        if take(".") {
            isInteger = false
            guard takeDigits() != nil else { throw failure("digits are missing after '.'") }
        }
        if take("e") || take("E") {
            isInteger = false
            if !take("+") { _ = take("-") }
            guard takeDigits() != nil else { throw failure("an exponent has no digits") }
        }
        if isInteger, let size = whole.value {
            return .integer(negative ? -size : size)
        }
        let text = String(decoding: bytes[begin..<place], as: UTF8.self)
        // Past the largest double it reads infinity, which whoever wants a number refuses.
        return .number(Double(text) ?? .infinity)
    }

    /// Digits that do not fit 63 bits have no value.
    private mutating func takeDigits() -> (value: Int?, Void)? {
        let begin = place
        var value: Int? = 0
        while place < bytes.count, bytes[place] &- 48 < 10 {
            let (product, tooLarge) = (value ?? 0).multipliedReportingOverflow(by: 10)
            let (sum, overflow) = product.addingReportingOverflow(Int(bytes[place] - 48))
            value = value == nil || tooLarge || overflow ? nil : sum
            place += 1
        }
        return place == begin ? nil : (value, ())
    }

    // MARK: - Texts

    private mutating func codePoints() throws(JSONSyntaxError) -> [UInt32] {
        place += 1
        var values: [UInt32] = []
        while place < bytes.count {
            let byte = bytes[place]
            switch byte {
            case UInt8(ascii: "\""):
                place += 1
                return values
            case UInt8(ascii: "\\"):
                values.append(try escape())
            case ..<0x20:
                throw failure("a control character in a text")
            case ..<0x80:
                values.append(UInt32(byte))
                place += 1
            default:
                guard let (value, length) = UTF8Decoder.sequence(bytes, at: place) else {
                    throw failure("it is not UTF-8")
                }
                values.append(value)
                place += length
            }
        }
        throw failure("a text has no end")
    }

    private mutating func escape() throws(JSONSyntaxError) -> UInt32 {
        guard place + 1 < bytes.count else { throw failure("a text has no end") }
        let letter = bytes[place + 1]
        place += 2
        switch letter {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return UInt32(letter)
        case UInt8(ascii: "b"): return 8
        case UInt8(ascii: "f"): return 12
        case UInt8(ascii: "n"): return 10
        case UInt8(ascii: "r"): return 13
        case UInt8(ascii: "t"): return 9
        case UInt8(ascii: "u"): break
        default: throw failure("an unknown escape in a text")
        }
        let unit = try hexUnit()
        guard 0xD800..<0xDC00 ~= unit, place + 1 < bytes.count,
            bytes[place] == UInt8(ascii: "\\"), bytes[place + 1] == UInt8(ascii: "u")
        else { return unit }  // `CodePoints` reads an unpaired surrogate as U+FFFD
        let before = place
        place += 2
        let second = try hexUnit()
        guard 0xDC00..<0xE000 ~= second else {
            place = before
            return unit
        }
        return 0x10000 + (unit - 0xD800) << 10 + (second - 0xDC00)
    }

    private mutating func hexUnit() throws(JSONSyntaxError) -> UInt32 {
        guard place + 4 <= bytes.count else { throw failure("a text has no end") }
        var unit: UInt32 = 0
        for byte in bytes[place..<place + 4] {
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - 48
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - 87
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - 55
            default: throw failure("\\u needs four hexadecimal digits")
            }
            unit = unit << 4 | UInt32(digit)
        }
        place += 4
        return unit
    }

    // MARK: - Bytes

    private mutating func skipSpace() {
        while place < bytes.count {
            switch bytes[place] {
            case 0x20, 0x09, 0x0A, 0x0D: place += 1
            default: return
            }
        }
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard place < bytes.count, bytes[place] == UInt8(ascii: character) else { return false }
        place += 1
        return true
    }

    private func failure(_ message: String) -> JSONSyntaxError {
        JSONSyntaxError(message: message, byte: place)
    }
}
