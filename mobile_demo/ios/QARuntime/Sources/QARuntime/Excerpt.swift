import QACore

/// An answer with the text around it, cut by offset: searching for it would find its first
/// occurrence, which need not be the one that was meant.
public struct Excerpt: Sendable, Equatable {
    public let before: String
    public let answer: String
    public let after: String
    /// Whether text is left out before and after.
    public let cutBefore: Bool
    public let cutAfter: Bool

    /// - Parameters:
    ///   - around: code points on each side; nil shows all.
    public init(_ answer: Answer, in context: String, around: Int? = nil) {
        let text = CodePoints(context)
        let start = min(max(answer.start, 0), text.count)
        let end = min(max(answer.end, start), text.count)
        let first = around.map { max(start - $0, 0) } ?? 0
        let last = around.map { min(end + $0, text.count) } ?? text.count
        before = text.string(first, start)
        self.answer = text.string(start, end)
        after = text.string(end, last)
        cutBefore = first > 0
        cutAfter = last < text.count
    }
}
