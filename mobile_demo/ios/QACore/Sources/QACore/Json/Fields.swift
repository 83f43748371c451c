/// Strict access to the members of a JSON object; errors name the place.
package struct Fields {
    private let members: [String: JSONValue]
    private let path: String
    private let kind: QAError.Kind

    package init(_ value: JSONValue, at path: String, kind: QAError.Kind) throws(QAError) {
        guard case .object(let list) = value else {
            throw QAError(kind, "\(path.isEmpty ? "it" : path) is \(value.kindName), not an object")
        }
        // Of equal names the last counts, as for Python.
        members = Dictionary(list.map { ($0.name, $0.value) }, uniquingKeysWith: { $1 })
        self.path = path
        self.kind = kind
    }

    /// Refuse members of any other name.
    package func only(_ names: [String]) throws(QAError) {
        if let extra = members.keys.sorted().first(where: { !names.contains($0) }) {
            throw QAError(kind, "there is no field '\(place(extra))'")
        }
    }

    package func has(_ name: String) -> Bool { members[name] != nil }

    package func value(_ name: String) throws(QAError) -> JSONValue {
        guard let value = members[name] else {
            throw QAError(kind, "the field '\(place(name))' is missing")
        }
        return value
    }

    package func fields(_ name: String) throws(QAError) -> Fields {
        try Fields(value(name), at: place(name), kind: kind)
    }

    package func codePoints(_ name: String) throws(QAError) -> CodePoints {
        let value = try value(name)
        guard case .string(let text) = value else { throw wrong(name, value, "a text") }
        return text
    }

    package func string(_ name: String) throws(QAError) -> String { try codePoints(name).string }

    /// A text that is one of a few words.
    package func word(_ name: String, of words: [String]) throws(QAError) -> String {
        let text = try string(name)
        guard words.contains(text) else {
            throw QAError(
                kind, "'\(place(name))' is '\(text)', not one of \(words.joined(separator: ", "))")
        }
        return text
    }

    package func sha256(_ name: String) throws(QAError) -> String {
        let text = try string(name)
        let digits = text.utf8.allSatisfy { 0x30...0x39 ~= $0 || 0x61...0x66 ~= $0 }
        guard digits, text.utf8.count == 64 else {
            throw QAError(kind, "'\(place(name))' is no SHA-256 in lower-case hexadecimal digits")
        }
        return text
    }

    package func bool(_ name: String) throws(QAError) -> Bool {
        let value = try value(name)
        guard case .bool(let flag) = value else { throw wrong(name, value, "a boolean") }
        return flag
    }

    package func integer(
        _ name: String, atLeast least: Int = .min, atMost most: Int = .max
    ) throws(QAError) -> Int {
        let number = try integer(value(name), place(name), least)
        guard number <= most else {
            throw QAError(kind, "'\(place(name))' must be at most \(most), not \(number)")
        }
        return number
    }

    /// A finite number.
    package func number(_ name: String) throws(QAError) -> Double {
        try number(value(name), place(name))
    }

    package func array(_ name: String) throws(QAError) -> [JSONValue] {
        let value = try value(name)
        guard case .array(let items) = value else { throw wrong(name, value, "a list") }
        return items
    }

    /// Each object of a list.
    package func list<Item>(
        _ name: String, _ read: (Fields) throws(QAError) -> Item
    ) throws(QAError) -> [Item] {
        var items: [Item] = []
        for (number, value) in try array(name).enumerated() {
            items.append(try read(Fields(value, at: "\(place(name)).\(number)", kind: kind)))
        }
        return items
    }

    /// Each object of an object, by name.
    package func dictionary<Item>(
        _ name: String, _ read: (Fields, String) throws(QAError) -> Item
    ) throws(QAError) -> [String: Item] {
        let inner = try fields(name)
        var items: [String: Item] = [:]
        for key in inner.members.keys { items[key] = try read(inner, key) }
        return items
    }

    package func strings(_ name: String) throws(QAError) -> [String] {
        var texts: [String] = []
        for (number, value) in try array(name).enumerated() {
            guard case .string(let text) = value else {
                throw wrong("\(name).\(number)", value, "a text")
            }
            texts.append(text.string)
        }
        return texts
    }

    package func integers(_ name: String, atLeast least: Int = .min) throws(QAError) -> [Int] {
        var numbers: [Int] = []
        for (number, value) in try array(name).enumerated() {
            numbers.append(try integer(value, place("\(name).\(number)"), least))
        }
        return numbers
    }

    package func numbers(_ name: String) throws(QAError) -> [Double] {
        var numbers: [Double] = []
        for (number, value) in try array(name).enumerated() {
            numbers.append(try self.number(value, place("\(name).\(number)")))
        }
        return numbers
    }

    /// Numbers in float32; null is NaN.
    package func logits(_ name: String) throws(QAError) -> [Float] {
        var logits: [Float] = []
        for (number, value) in try array(name).enumerated() {
            switch value {
            case .null: logits.append(.nan)
            case .integer(let integer): logits.append(Float(integer))
            case .number(let double): logits.append(Float(double))
            default: throw wrong("\(name).\(number)", value, "a number or null")
            }
        }
        return logits
    }

    /// A list of [start, end).
    package func ranges(_ name: String) throws(QAError) -> [(start: Int32, end: Int32)] {
        var ranges: [(Int32, Int32)] = []
        for (number, value) in try array(name).enumerated() {
            ranges.append(try range(value, "\(name).\(number)"))
        }
        return ranges
    }

    package func range(_ name: String) throws(QAError) -> (start: Int32, end: Int32) {
        try range(value(name), name)
    }

    private func range(
        _ value: JSONValue, _ name: String
    ) throws(QAError) -> (start: Int32, end: Int32) {
        guard case .array(let pair) = value, pair.count == 2,
            case .integer(let start) = pair[0], case .integer(let end) = pair[1],
            let start = Int32(exactly: start), let end = Int32(exactly: end)
        else { throw wrong(name, value, "a pair of whole numbers") }
        return (start, end)
    }

    private func integer(
        _ value: JSONValue, _ place: String, _ least: Int
    ) throws(QAError) -> Int {
        guard case .integer(let number) = value else {
            throw QAError(kind, "'\(place)' is \(value.kindName), not a whole number of 64 bits")
        }
        guard number >= least else {
            throw QAError(kind, "'\(place)' must be at least \(least), not \(number)")
        }
        return number
    }

    private func number(_ value: JSONValue, _ place: String) throws(QAError) -> Double {
        switch value {
        case .integer(let number): return Double(number)
        case .number(let number) where number.isFinite: return number
        default: throw QAError(kind, "'\(place)' is \(value.kindName), not a finite number")
        }
    }

    func place(_ name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }

    func wrong(_ name: String, _ value: JSONValue, _ wanted: String) -> QAError {
        QAError(kind, "'\(place(name))' is \(value.kindName), not \(wanted)")
    }
}
