/// A text as Unicode code points, the unit of all offsets; never with surrogates in it.
///
/// Swift's `String` compares and splits by the platform's own Unicode tables, and counts grapheme
/// clusters; the tokenizer must do neither.
public struct CodePoints: Sendable, Equatable {
    public let values: [UInt32]
    /// Places of the code points that take two UTF-16 units, ascending.
    let supplementary: [Int32]

    /// Surrogates and numbers that are no code points are read as U+FFFD.
    public init(_ values: [UInt32]) {
        var repaired = values
        var supplementary: [Int32] = []
        for (place, value) in values.enumerated() where value >= 0xD800 {
            if value < 0xE000 || value > 0x10FFFF {
                repaired[place] = 0xFFFD
            } else if value > 0xFFFF {
                supplementary.append(Int32(place))
            }
        }
        self.values = repaired
        self.supplementary = supplementary
    }

    public init(_ string: String) {
        // Strings bridged from NSString may hold unpaired surrogates; `utf8` gives U+FFFD for them.
        var string = string
        string.makeContiguousUTF8()
        var values: [UInt32] = []
        values.reserveCapacity(string.utf8.count)
        string.utf8.withContiguousStorageIfAvailable { bytes in
            // A string's own UTF-8 is always valid.
            _ = UTF8Decoder.append(bytes, to: &values)
        }
        self.init(values)
    }

    public var count: Int { values.count }

    /// Number of UTF-16 units before the code point at `place`.
    public func utf16Offset(_ place: Int) -> Int {
        var low = 0
        var high = supplementary.count
        while low < high {
            let middle = (low + high) / 2
            if Int(supplementary[middle]) < place { low = middle + 1 } else { high = middle }
        }
        return place + low
    }

    /// The text of a range; what lies outside the text is left out.
    public func string(_ start: Int, _ end: Int) -> String {
        let low = min(max(start, 0), count)
        let high = min(max(end, low), count)
        var scalars = String.UnicodeScalarView()
        for value in values[low..<high] {
            scalars.append(Unicode.Scalar(value) ?? "\u{FFFD}")
        }
        return String(scalars)
    }

    public var string: String { string(0, count) }

    /// The first `end` code points.
    public func prefix(_ end: Int) -> CodePoints {
        CodePoints(Array(values[..<min(max(end, 0), count)]))
    }
}
