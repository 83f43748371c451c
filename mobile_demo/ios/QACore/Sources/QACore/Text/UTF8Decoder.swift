/// Strict UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF.
enum UTF8Decoder {
    /// Append the code points of `bytes`; false where the bytes are not UTF-8.
    static func append(_ bytes: UnsafeBufferPointer<UInt8>, to values: inout [UInt32]) -> Bool {
        var place = 0
        while place < bytes.count {
            let first = bytes[place]
            if first < 0x80 {
                values.append(UInt32(first))
                place += 1
                continue
            }
            guard let (value, length) = sequence(bytes, at: place) else { return false }
            values.append(value)
            place += length
        }
        return true
    }

    /// The code point that begins at `place` with a byte above 0x7F, and how many bytes it takes.
    static func sequence(_ bytes: UnsafeBufferPointer<UInt8>, at place: Int) -> (UInt32, Int)? {
        let first = UInt32(bytes[place])
        let length: Int
        var value: UInt32
        let least: UInt32
        switch first {
        case 0xC2...0xDF: (length, value, least) = (2, first & 0x1F, 0x80)
        case 0xE0...0xEF: (length, value, least) = (3, first & 0x0F, 0x800)
        case 0xF0...0xF4: (length, value, least) = (4, first & 0x07, 0x10000)
        default: return nil
        }
        guard place + length <= bytes.count else { return nil }
        for next in 1..<length {
            let byte = UInt32(bytes[place + next])
            guard byte & 0xC0 == 0x80 else { return nil }
            value = value << 6 | byte & 0x3F
        }
        guard value >= least, value <= 0x10FFFF, value < 0xD800 || value > 0xDFFF else {
            return nil
        }
        return (value, length)
    }
}
