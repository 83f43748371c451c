/// The word pieces of `vocab.txt`, ready to match: two tries over code points.
///
/// A word's first piece is looked for among the plain tokens, the others among those that begin
/// with `##`. A trie finds the longest piece in one walk and without a copy of the word; a
/// dictionary of strings would hash every shorter end, by the platform's Unicode rules besides.
public struct Vocabulary: Sendable {
    /// Special tokens that stand for themselves where a text has them.
    public struct Special: Sendable, Equatable {
        let text: [UInt32]
        public let id: Int32
    }

    public let unknown: Int32
    public let classification: Int32
    public let separator: Int32
    public let padding: Int32
    /// Number of lines, blank ones included.
    public let size: Int
    let specials: [Special]

    static let wordStart: Int32 = 0
    static let wordInside: Int32 = 1

    /// Open addressing: node << 21 | code point → node. A free place holds `free`.
    private var keys: [UInt64]
    private var children: [Int32]
    private var shift: UInt64
    private var used = 0
    /// For each node the id of the token that ends there, or -1.
    private var ids: [Int32] = [-1, -1]

    private static let free = UInt64.max

    /// Read `vocab.txt`: one token a line, its id the line's number from 0; of equal ones the last.
    public init(utf8 bytes: [UInt8]) throws(QAError) {
        var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        if lines.last?.isEmpty == true { lines.removeLast() }
        guard !lines.isEmpty else { throw QAError(.badVocabulary, "the vocabulary is empty") }
        guard lines.count <= Int(Int32.max) else {
            throw QAError(.badVocabulary, "the vocabulary has more tokens than an id can count")
        }
        size = lines.count
        (keys, children, shift) = Self.emptyTable(bits: 16)

        var found: [String: Int32] = [:]
        let names = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
        let bracket = UInt8(ascii: "[")
        var decoded: [(id: Int32, token: [UInt32])] = []
        decoded.reserveCapacity(lines.count)
        for (id, line) in lines.enumerated() {
            var token: [UInt32] = []
            // Nothing else: pieces that differ in a last space are two.
            let piece = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
            let valid = piece.withUnsafeBufferPointer { UTF8Decoder.append($0, to: &token) }
            guard valid else {
                throw QAError(.badVocabulary, "line \(id + 1) of the vocabulary is not UTF-8")
            }
            if token.first == UInt32(bracket),
                let name = names.first(where: { $0.utf8.elementsEqual(piece) })
            {
                found[name] = Int32(id)
            }
            decoded.append((Int32(id), token))
        }
        for name in names.dropLast() where found[name] == nil {
            throw QAError(.badVocabulary, "the vocabulary has no \(name)")
        }
        unknown = found["[UNK]"] ?? 0
        classification = found["[CLS]"] ?? 0
        separator = found["[SEP]"] ?? 0
        padding = found["[PAD]"] ?? 0
        specials = names.compactMap { name in
            found[name].map { Special(text: name.unicodeScalars.map(\.value), id: $0) }
        }
        for (id, token) in decoded { insert(token, id: id) }
    }

    // MARK: - Matching

    /// The node below `node` by `codePoint`, or nil.
    func child(of node: Int32, by codePoint: UInt32) -> Int32? {
        let key = Self.key(node, codePoint)
        var slot = hash(key)
        while true {
            let candidate = keys[slot]
            if candidate == key { return children[slot] }
            if candidate == Self.free { return nil }
            slot = (slot + 1) & (keys.count - 1)
        }
    }

    /// The id of the token that ends at a node, or -1.
    func id(at node: Int32) -> Int32 { ids[Int(node)] }

    // MARK: - Building

    private mutating func insert(_ token: [UInt32], id: Int32) {
        let hash = UInt32(UInt8(ascii: "#"))
        // Both characters are punctuation, so no word has "##" at its beginning.
        let inside = token.count > 2 && token[0] == hash && token[1] == hash
        var node = inside ? Self.wordInside : Self.wordStart
        for codePoint in inside ? token[2...] : token[...] {
            node = child(of: node, by: codePoint) ?? add(node, codePoint)
        }
        if !token.isEmpty { ids[Int(node)] = id }
    }

    private mutating func add(_ node: Int32, _ codePoint: UInt32) -> Int32 {
        // At most half full, so that a miss ends soon.
        if used * 2 >= keys.count { grow() }
        let child = Int32(ids.count)
        ids.append(-1)
        place(Self.key(node, codePoint), child)
        used += 1
        return child
    }

    private mutating func grow() {
        let old = zip(keys, children).filter { $0.0 != Self.free }
        (keys, children, shift) = Self.emptyTable(bits: 64 - shift + 1)
        for (key, child) in old { place(key, child) }
    }

    private mutating func place(_ key: UInt64, _ child: Int32) {
        var slot = hash(key)
        while keys[slot] != Self.free { slot = (slot + 1) & (keys.count - 1) }
        keys[slot] = key
        children[slot] = child
    }

    private static func emptyTable(bits: UInt64) -> ([UInt64], [Int32], UInt64) {
        let size = 1 << Int(bits)
        return (Array(repeating: free, count: size), Array(repeating: 0, count: size), 64 - bits)
    }

    private static func key(_ node: Int32, _ codePoint: UInt32) -> UInt64 {
        UInt64(node) << 21 | UInt64(codePoint)
    }

    /// Fibonacci hashing (Knuth, TAOCP 3, 6.4): the high bits of a product with 2^64 / φ.
    private func hash(_ key: UInt64) -> Int {
        Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> shift)
    }
}
