/// How a context is cut into windows and how spans are chosen; in tokens but `nBest`.
///
/// `docStride` is the number of context tokens that two neighbouring windows share (the meaning it
/// has in Hugging Face's code; BERT's original code means the step between windows).
public struct QAOptions: Sendable, Equatable {
    public let maxLength: Int
    public let docStride: Int
    public let maxQuery: Int
    public let maxAnswer: Int
    public let nBest: Int

    /// Combinations that leave no room for the context are refused.
    public init(
        maxLength: Int = 384, docStride: Int = 128, maxQuery: Int = 64, maxAnswer: Int = 30,
        nBest: Int = 20
    ) throws(QAError) {
        let least = [
            ("max_length", maxLength), ("max_query", maxQuery), ("max_answer", maxAnswer),
            ("n_best", nBest),
        ]
        for (name, value) in least where value < 1 {
            throw QAError(.badRequest, "\(name) must be at least 1, not \(value)")
        }
        guard docStride >= 0 else {
            throw QAError(.badRequest, "doc_stride must not be negative, not \(docStride)")
        }
        // Three special tokens; and 8 tokens of context at the least.
        guard maxLength > 12, maxQuery <= maxLength - 12 else {
            throw QAError(
                .badRequest,
                "max_query \(maxQuery) leaves no room for the context in windows of \(maxLength)"
                    + " tokens")
        }
        self.maxLength = maxLength
        self.docStride = docStride
        self.maxQuery = maxQuery
        self.maxAnswer = maxAnswer
        self.nBest = nBest
    }

    public init(_ window: WindowInfo) throws(QAError) {
        try self.init(
            maxLength: window.maxLength, docStride: window.docStride, maxQuery: window.maxQuery,
            maxAnswer: window.maxAnswer, nBest: window.nBest)
    }
}
