import Foundation  // exp

/// A span that the model proposes: code points [start, end) of the context.
public struct Answer: Sendable, Equatable {
    public let text: String
    public let start: Int
    public let end: Int
    /// Start logit + end logit, added in float32.
    public let score: Float
    /// Softmax over the n best.
    public let probability: Double

    public init(text: String, start: Int, end: Int, score: Float, probability: Double) {
        self.text = text
        self.start = start
        self.end = end
        self.score = score
        self.probability = probability
    }
}

/// A window's logits, at least one for each of its tokens; padding beyond them is ignored.
public struct WindowLogits: Sendable {
    public let place: WindowPlace
    public let start: [Float]
    public let end: [Float]

    public init(place: WindowPlace, start: [Float], end: [Float]) {
        self.place = place
        self.start = start
        self.end = end
    }
}

private struct Span {
    let score: Float
    let window: Int
    let start: Int
    let end: Int
}

/// Return the `nBest` spans over all windows, best first; the text is cut from the context.
///
/// A span lies within the context, ends no earlier than it starts, has at most `maxAnswer` tokens
/// and starts where its window has max-context. Equal scores go to the earlier window, then start,
/// then end.
public func decode(
    _ windows: [WindowLogits], context: CodePoints, options: QAOptions
) throws(QAError) -> [Answer] {
    var spans: [Span] = []
    for (index, window) in windows.enumerated() {
        let count = window.place.count
        guard window.start.count >= count, window.end.count >= count else {
            throw QAError(.badRequest, "window \(index) has fewer logits than tokens")
        }
        guard window.start[..<count].allSatisfy(\.isFinite),
            window.end[..<count].allSatisfy(\.isFinite)
        else { throw QAError(.notFinite, "the model's logits for window \(index) are not finite") }
        spans += bestSpans(window, index, options)
    }
    spans.sort { ($1.score, $0.window, $0.start, $0.end) < ($0.score, $1.window, $1.start, $1.end) }
    let best = spans.prefix(options.nBest)
    let highest = Double(best.first?.score ?? 0)
    let weights = best.map { exp(Double($0.score) - highest) }
    let total = weights.reduce(0, +)
    return zip(best, weights).map { span, weight in
        let place = windows[span.window].place
        let start = Int(place.starts[span.start])
        let end = Int(place.ends[span.end])
        return Answer(
            text: context.string(start, end), start: start, end: end, score: span.score,
            probability: weight / total)
    }
}

/// A window's `nBest` spans, best first, ties by position.
private func bestSpans(_ window: WindowLogits, _ index: Int, _ options: QAOptions) -> [Span] {
    let context = window.place.context
    let width = min(options.maxAnswer, context.count)
    var best: [Span] = []
    // Above this many, keeping a sorted list costs more than sorting once.
    let keepSorted = options.nBest <= 100
    for start in context where window.place.maxContext[start] {
        for end in start..<min(start + width, context.upperBound) {
            let score = window.start[start] + window.end[end]
            if score == -.infinity { continue }
            let span = Span(score: score, window: index, start: start, end: end)
            if !keepSorted {
                best.append(span)
            } else if best.count < options.nBest || score > best[best.count - 1].score {
                // Spans come in the order of their places: an equal one goes behind.
                var at = best.count
                while at > 0, best[at - 1].score < score { at -= 1 }
                best.insert(span, at: at)
                if best.count > options.nBest { best.removeLast() }
            }
        }
    }
    if !keepSorted {
        best.sort { ($1.score, $0.start, $0.end) < ($0.score, $1.start, $1.end) }
        best = Array(best.prefix(options.nBest))
    }
    // Two finite logits may add up to infinity: such a sum is no score, but it has taken a place.
    return best.filter(\.score.isFinite)
}
