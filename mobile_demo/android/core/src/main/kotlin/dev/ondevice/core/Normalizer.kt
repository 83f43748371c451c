package dev.ondevice.core

/** Takes a normalized text, one code point at a time, with its place in the original. */
internal interface NormalizedSink {
    fun put(point: Int, place: Int)
}

/**
 * BERT's normalizer, as the reference has it: clean, set ideographs apart, strip accents, lower-case.
 *
 * Each code point is lower-cased by itself (`String.lowercase` would turn a final sigma into another
 * letter). What a code point becomes keeps that one's place; where canonical order moves marks, the
 * places stay where they were, which is what the reference does.
 */
internal class Normalizer(
    private val lowercase: Boolean,
    private val stripAccents: Boolean,
    private val sink: NormalizedSink,
) {
    // Marks that wait for the next starter, to be put in canonical order: their combining class,
    // their order of arrival, whether they add to the text, and the code point.
    private var waiting = LongArray(16)
    private var waitingSize = 0

    // The places of those of them that do not add to the text, in the order of the text.
    private var places = IntArray(16)
    private var placesSize = 0
    private var lastPlace = 0

    fun put(point: Int, place: Int) {
        val bits = UnicodeTables.properties(point)
        when {
            bits == 0 && waitingSize == 0 -> {
                lastPlace = place
                sink.put(point, place)
            }
            bits and UnicodeTables.SPACE != 0 -> decompose(SPACE, 0, place)
            bits and UnicodeTables.REMOVED != 0 -> Unit
            bits and UnicodeTables.IDEOGRAPH != 0 -> {
                decompose(SPACE, 0, place)
                decompose(point, bits, place)
                decompose(SPACE, 0, place)
            }
            else -> decompose(point, bits, place)
        }
    }

    /** Give out what waits: the text, or a part of it that is normalized by itself, ends. */
    fun end() {
        release()
        lastPlace = 0
    }

    private fun decompose(point: Int, bits: Int, place: Int) {
        if (!stripAccents) {
            lower(point, bits, place)
        } else if (bits and UnicodeTables.DECOMPOSES == 0) {
            arrange(point, bits, place, adds = false)
        } else {
            val parts = UnicodeTables.decomposition(point) ?: return
            for (i in parts.indices) {
                arrange(parts[i], UnicodeTables.properties(parts[i]), place, adds = i > 0)
            }
        }
    }

    private fun arrange(point: Int, bits: Int, place: Int, adds: Boolean) {
        if (bits and UnicodeTables.COMBINES == 0) {
            if (waitingSize > 0) release()
            if (!adds) lastPlace = place
            strip(point, bits, lastPlace)
            return
        }
        if (waitingSize == waiting.size) waiting = waiting.copyOf(2 * waitingSize)
        waiting[waitingSize] = (UnicodeTables.combiningClass(point).toLong() shl CLASS_SHIFT) or
            (waitingSize.toLong() shl ORDER_SHIFT) or
            (if (adds) ADDS else 0L) or point.toLong()
        waitingSize++
        if (!adds) {
            if (placesSize == places.size) places = places.copyOf(2 * placesSize)
            places[placesSize++] = place
        }
    }

    private fun release() {
        if (waitingSize > 1) waiting.sort(0, waitingSize)
        var next = 0
        for (i in 0 until waitingSize) {
            if (waiting[i] and ADDS == 0L) lastPlace = places[next++]
            val point = (waiting[i] and POINT).toInt()
            strip(point, UnicodeTables.properties(point), lastPlace)
        }
        waitingSize = 0
        placesSize = 0
    }

    private fun strip(point: Int, bits: Int, place: Int) {
        if (bits and UnicodeTables.MARK == 0) lower(point, bits, place)
    }

    private fun lower(point: Int, bits: Int, place: Int) {
        if (!lowercase || bits and UnicodeTables.LOWERCASES == 0) {
            sink.put(point, place)
        } else if (point < ASCII_END) {
            sink.put(point + TO_LOWER, place)
        } else {
            UnicodeTables.lowercase(point)?.forEach { sink.put(it, place) }
        }
    }

    private companion object {
        // Spares most texts a look into a map for each capital letter.
        const val ASCII_END = 128
        const val TO_LOWER = 'a'.code - 'A'.code

        const val SPACE = ' '.code
        const val POINT = 0x1FFFFFL
        const val ADDS = 1L shl 21
        const val ORDER_SHIFT = 22
        const val CLASS_SHIFT = 53
    }
}
