package dev.ondevice.core

import java.util.PriorityQueue
import kotlin.math.exp

/**
 * A proposed answer: the code points [start, end) of the context.
 *
 * `score` is the sum of its start and end logit; `probability` is the softmax over the n best.
 */
data class Answer(
    val text: String,
    val start: Int,
    val end: Int,
    val score: Double,
    val probability: Double,
)

/** Chooses answers from logits. */
object SpanDecoder {
    /**
     * Return the `nBest` spans over all windows, best first; the text is cut from the context.
     *
     * A span lies within the context, ends no earlier than it starts, has at most `maxAnswer`
     * tokens and starts where its window has max-context. It scores start + end logit in float32;
     * equal scores go to the earlier window, then start, then end. Logits beyond a window's size
     * are padding.
     *
     * @throws CoreException a logit is not finite
     */
    fun decode(
        windows: List<Window>,
        startLogits: List<FloatArray>,
        endLogits: List<FloatArray>,
        context: CodePoints,
        options: QAOptions,
    ): List<Answer> {
        val spans = ArrayList<Span>()
        windows.forEachIndexed { index, window ->
            checkFinite(startLogits[index], window.size, index)
            checkFinite(endLogits[index], window.size, index)
            spans += best(index, window, startLogits[index], endLogits[index], options)
        }
        spans.sort()
        return answers(spans.take(options.nBest), windows, context)
    }

    private fun checkFinite(logits: FloatArray, size: Int, index: Int) {
        for (i in 0 until size) {
            if (!logits[i].isFinite()) {
                val message = "the model's logits for window $index are not finite"
                throw CoreException(ErrorKind.NOT_FINITE, message)
            }
        }
    }

    /** Return a window's best spans: a heap of `nBest`, its worst on top. */
    private fun best(
        index: Int,
        window: Window,
        start: FloatArray,
        end: FloatArray,
        options: QAOptions,
    ): List<Span> {
        val heap = PriorityQueue<Span>(reverseOrder())
        var worst = Float.NEGATIVE_INFINITY
        for (first in window.contextStart until window.contextEnd) {
            if (!window.maxContext[first]) continue
            val limit = minOf(first.toLong() + options.maxAnswer, window.contextEnd.toLong()).toInt()
            for (last in first until limit) {
                val score = start[first] + end[last]
                // In reading order, so an equal score never displaces an earlier span.
                if (heap.size == options.nBest) {
                    if (score <= worst) continue
                    heap.poll()
                }
                heap.add(Span(score, index, first, last))
                worst = heap.peek().score
            }
        }
        // Two logits near float32's end may sum beyond it: no score that can be compared.
        return heap.filter { it.score.isFinite() }
    }

    private fun answers(spans: List<Span>, windows: List<Window>, context: CodePoints): List<Answer> {
        if (spans.isEmpty()) return emptyList()
        val highest = spans[0].score.toDouble()
        val weights = spans.map { exp(it.score - highest) }
        val total = weights.sum()
        return spans.mapIndexed { i, span ->
            val start = windows[span.window].starts[span.first]
            val end = windows[span.window].ends[span.last]
            Answer(context.slice(start, end), start, end, span.score.toDouble(), weights[i] / total)
        }
    }

    /** The tokens [first, last] of a window; the better span comes first. */
    private class Span(val score: Float, val window: Int, val first: Int, val last: Int) :
        Comparable<Span> {
        override fun compareTo(other: Span): Int {
            // Not Float.compareTo, for which -0.0 is less than 0.0.
            if (score != other.score) return if (score > other.score) -1 else 1
            return compareValuesBy(this, other, Span::window, Span::first, Span::last)
        }
    }
}
