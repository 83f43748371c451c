package dev.ondevice.core

/** Tokens of a text: ids, and the code points [starts, ends) of the original that each stands for. */
class Tokens internal constructor(val ids: IntArray, val starts: IntArray, val ends: IntArray) {
    val size: Int get() = ids.size
}

/**
 * BERT's tokenizer: normalizer, splitting on white space and punctuation, and WordPiece.
 *
 * The same ids and places as the reference for every text. A literal `[SEP]` in a text is the
 * special token. It may be used from several threads: what changes is made anew for each text.
 */
class WordPiece(
    val vocabulary: Vocabulary,
    private val lowercase: Boolean = true,
    private val stripAccents: Boolean = true,
) {
    private val specials: List<Pair<IntArray, Int>> =
        vocabulary.specials.map { (token, id) -> CodePoints.of(token).values to id }

    /** Tokenize a text, without special tokens around it. */
    fun tokenize(text: CodePoints): Tokens = tokenize(text.values, text.size)

    /** Tokenize the first `size` code points of a text. */
    internal fun tokenize(points: IntArray, size: Int): Tokens {
        val words = Words(vocabulary, size)
        val normalizer = Normalizer(lowercase, stripAccents, words)
        var place = 0
        while (place < size) {
            val special = if (points[place] == BRACKET) specialAt(points, place, size) else null
            if (special == null) {
                normalizer.put(points[place], place)
                place++
                continue
            }
            // What stands before and after a special token is normalized by itself.
            normalizer.end()
            words.endWord()
            words.add(special.second, place, place + special.first.size)
            place += special.first.size
        }
        normalizer.end()
        words.endWord()
        return words.tokens()
    }

    private fun specialAt(points: IntArray, place: Int, size: Int): Pair<IntArray, Int>? =
        specials.firstOrNull { (token, _) ->
            place + token.size <= size && token.indices.all { points[place + it] == token[it] }
        }

    private companion object {
        const val BRACKET = '['.code
    }
}

/** Gathers normalized code points into words, and cuts each word into pieces. */
private class Words(private val vocabulary: Vocabulary, textSize: Int) : NormalizedSink {
    private var ids = IntArray(textSize / 4 + 16)
    private var starts = IntArray(ids.size)
    private var ends = IntArray(ids.size)
    private var size = 0

    // Longer words are unknown as a whole, so no more of them is kept than this.
    private val word = IntArray(LONGEST_WORD)
    private val places = IntArray(LONGEST_WORD)
    private var wordSize = 0
    private var lastPlace = 0

    override fun put(point: Int, place: Int) {
        val bits = UnicodeTables.properties(point)
        if (bits and (UnicodeTables.SPACE or UnicodeTables.PUNCTUATION) == 0) {
            append(point, place)
            return
        }
        endWord()
        if (bits and UnicodeTables.PUNCTUATION != 0) {
            append(point, place)
            endWord()
        }
    }

    private fun append(point: Int, place: Int) {
        if (wordSize < LONGEST_WORD) {
            word[wordSize] = point
            places[wordSize] = place
        }
        wordSize++
        lastPlace = place
    }

    fun endWord() {
        if (wordSize == 0) return
        val before = size
        if (wordSize > LONGEST_WORD || !cut()) {
            size = before
            add(vocabulary.unknown, places[0], lastPlace + 1)
        }
        wordSize = 0
    }

    /** Cut the word into pieces, the longest first; false if there is none for some part of it. */
    private fun cut(): Boolean {
        var at = 0
        while (at < wordSize) {
            var node = vocabulary.root(begins = at == 0)
            var id = -1
            var end = at
            var next = at
            while (next < wordSize) {
                node = vocabulary.child(node, word[next++])
                if (node < 0) break
                val found = vocabulary.id(node)
                if (found >= 0) {
                    id = found
                    end = next
                }
            }
            if (id < 0) return false
            add(id, places[at], places[end - 1] + 1)
            at = end
        }
        return true
    }

    fun add(id: Int, start: Int, end: Int) {
        if (size == ids.size) {
            ids = ids.copyOf(2 * size)
            starts = starts.copyOf(2 * size)
            ends = ends.copyOf(2 * size)
        }
        ids[size] = id
        starts[size] = start
        ends[size] = end
        size++
    }

    fun tokens() = Tokens(ids.copyOf(size), starts.copyOf(size), ends.copyOf(size))

    private companion object {
        const val LONGEST_WORD = 100
    }
}
