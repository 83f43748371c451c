import QACore

extension JSONValue {
    static func integers(_ numbers: [Int32]) -> JSONValue {
        .array(numbers.map { .integer(Int($0)) })
    }

    /// Pairs [start, end).
    static func ranges(_ starts: [Int32], _ ends: [Int32]) -> JSONValue {
        .array(zip(starts, ends).map { [.integer(Int($0)), .integer(Int($1))] })
    }

    /// The same in UTF-16 units of a text.
    static func utf16Ranges(_ starts: [Int32], _ ends: [Int32], _ text: CodePoints) -> JSONValue {
        .array(
            zip(starts, ends).map {
                [.integer(text.utf16Offset(Int($0))), .integer(text.utf16Offset(Int($1)))]
            })
    }
}
