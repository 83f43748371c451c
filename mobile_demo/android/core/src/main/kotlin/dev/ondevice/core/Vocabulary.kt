package dev.ondevice.core

/**
 * The word pieces of a `vocab.txt`: one a line, the id is the line's number from 0.
 *
 * They are kept as two tries, for pieces that begin a word and for those that go on (`##`), so that
 * the longest piece is found in one walk over the word, without a string for each candidate.
 */
class Vocabulary private constructor(
    private val keys: LongArray,
    private val nodes: IntArray,
    private val ids: IntArray,
    /** The special tokens that stand for themselves in a text, with their ids. */
    val specials: Map<String, Int>,
) {
    val unknown: Int get() = specials.getValue(UNKNOWN)
    val classification: Int get() = specials.getValue(CLASSIFICATION)
    val separator: Int get() = specials.getValue(SEPARATOR)
    val padding: Int get() = specials.getValue(PADDING)

    /** The node that a piece is searched from: at the beginning of a word, or within it. */
    internal fun root(begins: Boolean): Int = if (begins) BEGINS else CONTINUES

    /** The node below another, or -1. */
    internal fun child(node: Int, point: Int): Int {
        val key = key(node, point)
        var slot = slot(key, keys.size)
        while (keys[slot] != NOTHING) {
            if (keys[slot] == key) return nodes[slot]
            slot = (slot + 1) and (keys.size - 1)
        }
        return -1
    }

    /** The id of the piece that ends at a node, or -1. */
    internal fun id(node: Int): Int = ids[node]

    companion object {
        const val UNKNOWN = "[UNK]"
        const val CLASSIFICATION = "[CLS]"
        const val SEPARATOR = "[SEP]"
        const val PADDING = "[PAD]"
        private const val MASK = "[MASK]"
        private const val PREFIX = "##"
        private const val NOTHING = -1L
        private const val BEGINS = 0
        private const val CONTINUES = 1

        /** Read the text of a `vocab.txt`. */
        fun of(text: String): Vocabulary {
            val pieces = text.removeSuffix("\n").split('\n').map { it.removeSuffix("\r") }
            if (pieces.all { it.isEmpty() }) {
                throw CoreException(ErrorKind.BAD_VOCABULARY, "the vocabulary is empty")
            }
            val all = listOf(UNKNOWN, CLASSIFICATION, SEPARATOR, PADDING, MASK)
            val found = all.associateWith { pieces.lastIndexOf(it) }.filterValues { it >= 0 }
            val missing = (all - MASK).filter { it !in found }
            if (missing.isNotEmpty()) {
                val names = missing.joinToString()
                throw CoreException(ErrorKind.BAD_VOCABULARY, "the vocabulary lacks $names")
            }
            return Builder(pieces.sumOf { it.length } + 2).build(pieces, found)
        }

        private fun key(node: Int, point: Int): Long = (node.toLong() shl 21) or point.toLong()

        private fun slot(key: Long, size: Int): Int {
            val mixed = key * -0x61c8864680b583ebL // 2^64 over the golden ratio (Knuth 6.4)
            return (mixed ushr 32).toInt() and (size - 1)
        }
    }

    private class Builder(limit: Int) {
        // A power of two, at most half full: every character adds one node at the most.
        private val keys = LongArray(Integer.highestOneBit(maxOf(limit, 16)) * 4) { NOTHING }
        private val nodes = IntArray(keys.size)
        private val ids = IntArray(limit) { -1 }
        private var size = 2

        fun build(pieces: List<String>, specials: Map<String, Int>): Vocabulary {
            // A piece that occurs twice has its last id, as in the reference.
            pieces.forEachIndexed { id, piece ->
                if (piece.startsWith(PREFIX)) {
                    add(CONTINUES, piece.substring(PREFIX.length), id)
                } else {
                    add(BEGINS, piece, id)
                }
            }
            return Vocabulary(keys, nodes, ids, specials)
        }

        private fun add(root: Int, piece: String, id: Int) {
            if (piece.isEmpty()) return
            var node = root
            for (point in CodePoints.of(piece).values) node = grow(node, point)
            ids[node] = id
        }

        private fun grow(node: Int, point: Int): Int {
            val key = key(node, point)
            var slot = slot(key, keys.size)
            while (keys[slot] != NOTHING) {
                if (keys[slot] == key) return nodes[slot]
                slot = (slot + 1) and (keys.size - 1)
            }
            keys[slot] = key
            nodes[slot] = size
            return size++
        }
    }
}
