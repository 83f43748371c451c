/// Token ids and each token's code points [start, end) in the text as it was given.
public struct Tokens: Sendable, Equatable {
    public var ids: [Int32] = []
    public var starts: [Int32] = []
    public var ends: [Int32] = []

    public var count: Int { ids.count }

    mutating func append(_ id: Int32, _ start: Int32, _ end: Int32) {
        ids.append(id)
        starts.append(start)
        ends.append(end)
    }
}

/// BERT's tokenizer as Hugging Face's `tokenizers` runs it: BertNormalizer, BertPreTokenizer and
/// WordPiece, without special tokens around the text.
public struct WordPieceTokenizer: Sendable {
    public let vocabulary: Vocabulary
    public let lowercase: Bool
    public let stripAccents: Bool

    public init(vocabulary: Vocabulary, lowercase: Bool = true, stripAccents: Bool = true) {
        self.vocabulary = vocabulary
        self.lowercase = lowercase
        self.stripAccents = stripAccents
    }

    /// Texts have fewer than 2^31 code points.
    public func tokenize(_ text: CodePoints) -> Tokens {
        var scanner = WordScanner(
            vocabulary: vocabulary, lowercase: lowercase, stripAccents: stripAccents)
        text.values.withUnsafeBufferPointer { values in
            // Special tokens are cut out first, from the text as it is: neither lower case nor
            // accents matter, and marks are not reordered across them.
            var begin = 0
            var place = 0
            while place < values.count {
                if values[place] == 0x5B, let special = special(values, at: place) {
                    scanner.scan(values, from: begin, to: place)
                    let end = place + special.text.count
                    scanner.tokens.append(special.id, Int32(place), Int32(end))
                    (begin, place) = (end, end)
                } else {
                    place += 1
                }
            }
            scanner.scan(values, from: begin, to: values.count)
        }
        return scanner.tokens
    }

    private func special(
        _ values: UnsafeBufferPointer<UInt32>, at place: Int
    ) -> Vocabulary.Special? {
        vocabulary.specials.first { values[place...].starts(with: $0.text) }
    }
}
