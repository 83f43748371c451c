/// One model input, unpadded: T tokens, of which `context` are tokens of the context.
public struct Window: Sendable, Equatable {
    public let inputIDs: [Int32]
    public let tokenTypeIDs: [Int32]
    /// Where tokens of the context stand in it, and how a span is judged there.
    public let place: WindowPlace

    public var count: Int { inputIDs.count }
}

/// What a decode needs to know of a window.
public struct WindowPlace: Sendable, Equatable {
    /// Code points [start, end) in the original context; zeros for every other token.
    public let starts: [Int32]
    public let ends: [Int32]
    /// The range of the context's tokens.
    public let context: Range<Int>
    /// True where, of all windows that hold a token, this one shows the most context on its poorer
    /// side; a span counts only where its first token has it.
    public let maxContext: [Bool]

    public init(starts: [Int32], ends: [Int32], context: Range<Int>, maxContext: [Bool]) {
        precondition(starts.count == ends.count && starts.count == maxContext.count)
        precondition(context.lowerBound >= 0 && context.upperBound <= starts.count)
        self.starts = starts
        self.ends = ends
        self.context = context
        self.maxContext = maxContext
    }

    public var count: Int { starts.count }
}

extension WordPieceTokenizer {
    /// Cut a pair into overlapping windows of at most `maxLength` tokens, in reading order.
    ///
    /// A question of more than `maxQuery` tokens is cut at the end of its last whole kept token.
    /// The overlap is `docStride`, or half of the room for context where that is less.
    public func windows(
        question: CodePoints, context: CodePoints, options: QAOptions
    ) throws(QAError) -> [Window] {
        let asked = try cutQuestion(question, options.maxQuery)
        let tokens = tokenize(context)
        guard tokens.count > 0 else { throw QAError(.emptyContext, "the context is empty") }
        let room = options.maxLength - asked.count - 3
        // A kept character may be several tokens (Hangul), hence a question above `maxQuery`.
        guard room > 0 else {
            throw QAError(.badRequest, "the question leaves no room for the context")
        }
        let step = room - min(options.docStride, room / 2)
        var ranges: [Range<Int>] = []
        repeat {
            let start = ranges.count * step
            ranges.append(start..<min(start + room, tokens.count))
        } while ranges[ranges.count - 1].upperBound < tokens.count

        let owners = Self.owners(ranges, tokens: tokens.count)
        return ranges.enumerated().map { index, range in
            window(asked, tokens, range, maxContext: range.map { owners[$0] == index })
        }
    }

    private func cutQuestion(_ question: CodePoints, _ maxQuery: Int) throws(QAError) -> Tokens {
        let tokens = tokenize(question)
        guard tokens.count > 0 else { throw QAError(.emptyQuestion, "the question is empty") }
        if tokens.count <= maxQuery { return tokens }
        return tokenize(question.prefix(Int(tokens.ends[maxQuery - 1])))
    }

    private func window(
        _ question: Tokens, _ context: Tokens, _ range: Range<Int>, maxContext: [Bool]
    ) -> Window {
        let special = (vocabulary.classification, vocabulary.separator)
        let before = question.count + 2
        let ids = [special.0] + question.ids + [special.1] + context.ids[range] + [special.1]
        let head = [Int32](repeating: 0, count: before)
        let types = head + [Int32](repeating: 1, count: range.count + 1)
        return Window(
            inputIDs: ids,
            tokenTypeIDs: types,
            place: WindowPlace(
                starts: head + context.starts[range] + [0],
                ends: head + context.ends[range] + [0],
                context: before..<before + range.count,
                maxContext: [Bool](repeating: false, count: before) + maxContext + [false]))
    }

    /// For each token the window that shows the most context around it.
    ///
    /// The score is BERT's, min(left, right) + 0.01 · window length, in whole hundredths so that
    /// no platform rounds it differently; the earlier window wins a tie.
    private static func owners(_ ranges: [Range<Int>], tokens: Int) -> [Int] {
        var best = [(score: Int, window: Int)](repeating: (-1, 0), count: tokens)
        for (index, range) in ranges.enumerated() {
            for token in range {
                let sides = min(token - range.lowerBound, range.upperBound - 1 - token)
                let score = 100 * sides + range.count
                if score > best[token].score { best[token] = (score, index) }
            }
        }
        return best.map(\.window)
    }
}
