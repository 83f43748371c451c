package dev.ondevice.core

/**
 * How a context is cut into windows and how spans are chosen.
 *
 * `docStride` is the number of context tokens that two neighbouring windows share.
 */
data class QAOptions(
    val maxLength: Int = 384,
    val docStride: Int = 128,
    val maxQuery: Int = 64,
    val maxAnswer: Int = 30,
    val nBest: Int = 20,
) {
    init {
        atLeast("max_length", maxLength, 1)
        atLeast("max_query", maxQuery, 1)
        atLeast("max_answer", maxAnswer, 1)
        atLeast("n_best", nBest, 1)
        atLeast("doc_stride", docStride, 0)
        // Up to four special tokens, and eight tokens of context at the least.
        if (maxQuery > maxLength - NEEDED) {
            refuse(
                "max_query $maxQuery leaves no room for the context in windows of $maxLength " +
                    "tokens; max_query may be up to ${maxLength - NEEDED}",
            )
        }
    }

    private fun atLeast(name: String, value: Int, least: Int) {
        if (value < least) refuse("$name must be at least $least, not $value")
    }

    private fun refuse(message: String): Nothing =
        throw CoreException(ErrorKind.BAD_REQUEST, message)

    companion object {
        private const val NEEDED = 12

        /** The defaults, with stride and query scaled down to fit windows of `maxLength`. */
        fun forLength(maxLength: Int): QAOptions = QAOptions(
            maxLength = maxLength,
            docStride = minOf(128, maxLength / 3),
            maxQuery = minOf(64, maxLength / 3, maxLength - NEEDED),
        )
    }
}

/**
 * One model input, unpadded, of which the tokens [contextStart, contextEnd) are context.
 *
 * `starts` and `ends` are each context token's code points in the original context, and zeros for
 * every other token. `maxContext` is true where, of all windows that hold a token, this one shows
 * it with the most context on its poorer side.
 */
class Window(
    val inputIds: IntArray,
    val tokenTypeIds: IntArray,
    val starts: IntArray,
    val ends: IntArray,
    val contextStart: Int,
    val contextEnd: Int,
    val maxContext: BooleanArray,
) {
    val size: Int get() = starts.size
}

/** Cuts pairs of question and context into overlapping windows, in reading order. */
class Windows(private val tokenizer: WordPiece) {
    private val vocabulary = tokenizer.vocabulary

    /**
     * Cut a pair. A question of more than `maxQuery` tokens is cut at the end of its last whole
     * kept token; the overlap is `docStride`, or half of the room for context where that is less.
     *
     * @throws CoreException nothing is left of the question or the context after tokenizing
     */
    fun cut(question: CodePoints, context: CodePoints, options: QAOptions): List<Window> {
        val query = cutQuestion(question, options.maxQuery)
        val tokens = tokenizer.tokenize(context)
        if (tokens.size == 0) throw CoreException(ErrorKind.EMPTY_CONTEXT, "the context is empty")
        val room = options.maxLength - query.size - SPECIALS
        if (room < 1) {
            throw CoreException(ErrorKind.BAD_REQUEST, "the question leaves no room for the context")
        }
        val step = room - minOf(options.docStride, room / 2)
        val ranges = ArrayList<IntRange>()
        var begin = 0
        while (true) {
            val end = minOf(begin + room, tokens.size)
            ranges.add(begin until end)
            if (end == tokens.size) break
            begin += step
        }
        val best = bestWindows(ranges, tokens.size)
        return ranges.mapIndexed { index, range -> window(query, tokens, range, index, best) }
    }

    private fun cutQuestion(question: CodePoints, maxQuery: Int): IntArray {
        val tokens = tokenizer.tokenize(question)
        if (tokens.size == 0) throw CoreException(ErrorKind.EMPTY_QUESTION, "the question is empty")
        if (tokens.size <= maxQuery) return tokens.ids
        return tokenizer.tokenize(question.values, tokens.ends[maxQuery - 1]).ids
    }

    /**
     * For each context token, the window that shows the most context around it.
     *
     * The score is BERT's, min(left, right) + 0.01 · window length, in whole hundredths so that no
     * platform rounds it differently; the earlier window wins a tie.
     */
    private fun bestWindows(ranges: List<IntRange>, size: Int): IntArray {
        val windows = IntArray(size)
        val scores = LongArray(size) { -1 }
        ranges.forEachIndexed { index, range ->
            val last = range.last - range.first
            for (place in 0..last) {
                val score = 100L * minOf(place, last - place) + last + 1
                val token = range.first + place
                if (score > scores[token]) {
                    scores[token] = score
                    windows[token] = index
                }
            }
        }
        return windows
    }

    private fun window(
        query: IntArray,
        tokens: Tokens,
        range: IntRange,
        index: Int,
        best: IntArray,
    ): Window {
        val first = query.size + 2
        val last = first + range.last + 1 - range.first
        val ids = IntArray(last + 1)
        ids[0] = vocabulary.classification
        query.copyInto(ids, 1)
        ids[first - 1] = vocabulary.separator
        tokens.ids.copyInto(ids, first, range.first, range.last + 1)
        ids[last] = vocabulary.separator
        return Window(
            inputIds = ids,
            tokenTypeIds = IntArray(last + 1) { if (it < first) 0 else 1 },
            starts = IntArray(last + 1).also {
                tokens.starts.copyInto(it, first, range.first, range.last + 1)
            },
            ends = IntArray(last + 1).also {
                tokens.ends.copyInto(it, first, range.first, range.last + 1)
            },
            contextStart = first,
            contextEnd = last,
            maxContext = BooleanArray(last + 1) {
                it in first until last && best[range.first + it - first] == index
            },
        )
    }

    private companion object {
        // [CLS] question [SEP] context [SEP]
        const val SPECIALS = 3
    }
}
