package dev.ondevice.core

/**
 * A text as Unicode code points, with the place of each in UTF-16 units.
 *
 * An unpaired surrogate is one code point and one unit wide, and is read as U+FFFD.
 */
class CodePoints private constructor(
    private val text: String,
    val values: IntArray,
    // Null where every code point is one unit, as in most texts.
    private val places: IntArray?,
) {
    val size: Int get() = values.size

    /** The place in UTF-16 units of a code point, or of the text's end. */
    fun utf16(place: Int): Int = places?.get(place) ?: place

    /** The text of the code points [start, end); places beyond the text's end are its end. */
    fun slice(start: Int, end: Int): String {
        val last = minOf(end, size)
        return if (start >= last) "" else text.substring(utf16(start), utf16(last))
    }

    companion object {
        private const val REPLACEMENT = 0xFFFD

        fun of(text: String): CodePoints {
            val values = IntArray(text.length)
            var size = 0
            var unit = 0
            while (unit < text.length) {
                val char = text[unit++]
                values[size++] = when {
                    !char.isSurrogate() -> char.code
                    char.isHighSurrogate() && unit < text.length && text[unit].isLowSurrogate() ->
                        pair(char, text[unit++])
                    else -> REPLACEMENT
                }
            }
            if (size == text.length) return CodePoints(text, values, null)
            return CodePoints(text, values.copyOf(size), places(values, size))
        }

        private fun pair(high: Char, low: Char): Int =
            0x10000 + ((high.code - 0xD800) shl 10) + (low.code - 0xDC00)

        private fun places(values: IntArray, size: Int): IntArray {
            val places = IntArray(size + 1)
            for (i in 0 until size) places[i + 1] = places[i] + if (values[i] > 0xFFFF) 2 else 1
            return places
        }
    }
}
