/// Normalizes a text, splits it into words and cuts those into pieces, in one pass.
///
/// The steps are the reference's: clean the text, put spaces around ideographs, decompose (NFD)
/// and drop non-spacing marks, lower the case, split on white space and punctuation. Each
/// normalized character keeps the place of the one that it came from.
struct WordScanner {
    /// Longer words are unknown (the reference's `max_input_chars_per_word`).
    static let maxWord = 100

    var tokens = Tokens()

    private let vocabulary: Vocabulary
    private let lowercase: Bool
    private let stripAccents: Bool
    /// The word so far, and for each character its place in the text.
    private var word: [UInt32] = []
    private var sources: [Int32] = []
    private var reordering = MarkReordering()

    init(vocabulary: Vocabulary, lowercase: Bool, stripAccents: Bool) {
        self.vocabulary = vocabulary
        self.lowercase = lowercase
        self.stripAccents = stripAccents
    }

    /// Append the tokens of the code points [start, end) to `tokens`.
    mutating func scan(_ text: UnsafeBufferPointer<UInt32>, from start: Int, to end: Int) {
        for place in start..<end {
            let codePoint = text[place]
            let properties = UnicodeTables.properties(codePoint)
            if properties == 0 {
                settleMarks()
                put(codePoint, Int32(place))
            } else {
                scan(codePoint, properties, Int32(place))
            }
        }
        settleMarks()
        endWord()
    }

    private mutating func scan(_ codePoint: UInt32, _ properties: UInt8, _ place: Int32) {
        // Removed first of all: marks around it then follow one another.
        if properties & UnicodeTables.removed != 0 { return }
        if properties & UnicodeTables.space != 0 {
            settleMarks()
            endWord()
        } else if properties & UnicodeTables.ideograph != 0 {
            settleMarks()
            endWord()
            normalize(codePoint, properties, place)
            settleMarks()
            endWord()
        } else {
            normalize(codePoint, properties, place)
        }
    }

    /// Decompose a character and drop its marks, or leave it as it is.
    private mutating func normalize(_ codePoint: UInt32, _ properties: UInt8, _ place: Int32) {
        let moves = UnicodeTables.decomposes | UnicodeTables.combines
        if !stripAccents {
            lower(codePoint, properties, place)
        } else if properties & moves == 0 {
            settleMarks()
            if properties & UnicodeTables.mark == 0 { lower(codePoint, properties, place) }
        } else {
            reordering.sources.append(place)
            guard let parts = UnicodeTables.decomposition(codePoint) else {
                decomposed(codePoint, isFirst: true)
                return
            }
            for (number, part) in parts.enumerated() { decomposed(part, isFirst: number == 0) }
        }
    }

    private mutating func decomposed(_ codePoint: UInt32, isFirst: Bool) {
        let combiningClass = UnicodeTables.combiningClass(codePoint)
        // A character that does not combine ends the marks before it.
        if combiningClass == 0 { settleMarks(keepingLastSource: isFirst) }
        reordering.pending.append(
            .init(codePoint: codePoint, combiningClass: combiningClass, isFirst: isFirst))
    }

    /// Put the pending characters into the word, in canonical order.
    private mutating func settleMarks(keepingLastSource: Bool = false) {
        if reordering.pending.isEmpty { return }
        for (codePoint, place) in reordering.settle(keepingLastSource: keepingLastSource) {
            let properties = UnicodeTables.properties(codePoint)
            if properties & UnicodeTables.mark == 0 { lower(codePoint, properties, place) }
        }
    }

    private mutating func lower(_ codePoint: UInt32, _ properties: UInt8, _ place: Int32) {
        if !lowercase || properties & UnicodeTables.lowercases == 0 {
            split(codePoint, properties, place)
        } else if codePoint < 0x80 {
            put(codePoint + 0x20, place)  // most capitals are ASCII; spares them the look-up
        } else if let parts = UnicodeTables.lowercase(codePoint) {
            for part in parts { split(part, UnicodeTables.properties(part), place) }
        }
    }

    private mutating func split(_ codePoint: UInt32, _ properties: UInt8, _ place: Int32) {
        if properties & UnicodeTables.punctuation != 0 {
            endWord()
            put(codePoint, place)
            endWord()
        } else {
            put(codePoint, place)
        }
    }

    private mutating func put(_ codePoint: UInt32, _ place: Int32) {
        word.append(codePoint)
        sources.append(place)
    }

    // MARK: - WordPiece

    /// Cut the word into the longest pieces from its beginning; unknown if a rest has none.
    private mutating func endWord() {
        if word.isEmpty { return }
        let before = tokens.count
        if word.count > Self.maxWord || !matchPieces() {
            tokens.ids.removeSubrange(before...)
            tokens.starts.removeSubrange(before...)
            tokens.ends.removeSubrange(before...)
            tokens.append(vocabulary.unknown, sources[0], sources[word.count - 1] + 1)
        }
        word.removeAll(keepingCapacity: true)
        sources.removeAll(keepingCapacity: true)
    }

    private mutating func matchPieces() -> Bool {
        var start = 0
        while start < word.count {
            var node = start == 0 ? Vocabulary.wordStart : Vocabulary.wordInside
            var id: Int32 = -1
            var end = start
            var place = start
            while place < word.count, let next = vocabulary.child(of: node, by: word[place]) {
                node = next
                place += 1
                let found = vocabulary.id(at: node)
                if found >= 0 { (id, end) = (found, place) }
            }
            if id < 0 { return false }
            tokens.append(id, sources[start], sources[end - 1] + 1)
            start = end
        }
        return true
    }
}
