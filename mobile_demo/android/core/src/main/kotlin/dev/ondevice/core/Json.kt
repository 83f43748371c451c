package dev.ondevice.core

/** A JSON value. */
sealed interface Json

data object JsonNull : Json

data class JsonBoolean(val value: Boolean) : Json

/**
 * A number, infinite where it is beyond a double; `whole` is null where it is written with a point
 * or an exponent, or is too large.
 */
data class JsonNumber(val value: Double, val whole: Long?) : Json

data class JsonString(val value: String) : Json

data class JsonArray(val values: List<Json>) : Json

/** An object; of keys that occur twice the last counts, as in the reference. */
data class JsonObject(val values: Map<String, Json>) : Json

/** The text is not JSON; the message says what and where. */
internal class JsonSyntaxException(message: String) : Exception(message)

/** Reads one JSON document (RFC 8259), and nothing that is almost one. */
internal class JsonReader(private val text: String) {
    private var at = 0

    fun read(): Json {
        val value = value(0)
        skipSpace()
        if (at < text.length) fail("something follows the document")
        return value
    }

    private fun value(depth: Int): Json {
        if (depth > DEEPEST) fail("nested more than $DEEPEST deep")
        skipSpace()
        if (at == text.length) fail("it ends too early")
        return when (text[at]) {
            '{' -> JsonObject(readObject(depth))
            '[' -> JsonArray(readArray(depth))
            '"' -> JsonString(string())
            't' -> word("true", JsonBoolean(true))
            'f' -> word("false", JsonBoolean(false))
            'n' -> word("null", JsonNull)
            else -> number()
        }
    }

    private fun readObject(depth: Int): Map<String, Json> {
        val values = LinkedHashMap<String, Json>()
        at++
        if (nextIs('}')) return values
        do {
            skipSpace()
            if (at == text.length || text[at] != '"') fail("a key is missing")
            val key = string()
            if (!nextIs(':')) fail("a colon is missing")
            values[key] = value(depth + 1)
        } while (nextIs(','))
        if (!nextIs('}')) fail("a closing brace is missing")
        return values
    }

    private fun readArray(depth: Int): List<Json> {
        val values = ArrayList<Json>()
        at++
        if (nextIs(']')) return values
        do values.add(value(depth + 1)) while (nextIs(','))
        if (!nextIs(']')) fail("a closing bracket is missing")
        return values
    }

    private fun string(): String {
        val begin = ++at
        while (at < text.length && text[at] != '"' && text[at] != '\\' && text[at] >= ' ') at++
        if (at < text.length && text[at] == '"') return text.substring(begin, at++)
        val result = StringBuilder(text.substring(begin, at))
        while (at < text.length) {
            when (val char = text[at++]) {
                '"' -> return result.toString()
                '\\' -> result.append(escaped())
                else -> if (char < ' ') fail("a control character stands in a string")
                else result.append(char)
            }
        }
        fail("a string does not end")
    }

    private fun escaped(): Char {
        if (at == text.length) fail("a string does not end")
        return when (val char = text[at++]) {
            '"', '\\', '/' -> char
            'b' -> '\b'
            'f' -> '\u000C'
            'n' -> '\n'
            'r' -> '\r'
            't' -> '\t'
            'u' -> unit()
            else -> fail("an unknown escape stands in a string")
        }
    }

    private fun unit(): Char {
        if (at + 4 > text.length) fail("a string does not end")
        var code = 0
        repeat(4) {
            val digit = when (val char = text[at++]) {
                in '0'..'9' -> char - '0'
                in 'a'..'f' -> char - 'a' + 10
                in 'A'..'F' -> char - 'A' + 10
                else -> fail("an escape is not hexadecimal")
            }
            code = 16 * code + digit
        }
        return code.toChar()
    }

    private fun number(): JsonNumber {
        val begin = at
        if (peek() == '-') at++
        if (peek() == '0') at++ else digits()
        var whole = true
        if (peek() == '.') {
            whole = false
            at++
            digits()
        }
        if (peek() == 'e' || peek() == 'E') {
            whole = false
            at++
            if (peek() == '+' || peek() == '-') at++
            digits()
        }
        val literal = text.substring(begin, at)
        return JsonNumber(literal.toDouble(), if (whole) literal.toLongOrNull() else null)
    }

    private fun digits() {
        val begin = at
        while (peek() in '0'..'9') at++
        if (at == begin) fail("a value is missing")
    }

    private fun peek(): Char = if (at < text.length) text[at] else '\u0000'

    private fun word(word: String, value: Json): Json {
        if (!text.startsWith(word, at)) fail("a value is missing")
        at += word.length
        return value
    }

    private fun nextIs(char: Char): Boolean {
        skipSpace()
        if (at == text.length || text[at] != char) return false
        at++
        return true
    }

    private fun skipSpace() {
        while (at < text.length && (text[at] == ' ' || text[at] in '\t'..'\n' || text[at] == '\r')) {
            at++
        }
    }

    private fun fail(what: String): Nothing =
        throw JsonSyntaxException("$what, at character ${minOf(at, text.length)}")

    private companion object {
        // Far more than any of our documents; a thread's stack on a phone holds far more still.
        const val DEEPEST = 64
    }
}

/** Writes JSON from maps, lists, arrays of integers, strings, numbers, booleans and null. */
object JsonWriter {
    private const val HEX = "0123456789abcdef"
    private const val REPLACEMENT = '\uFFFD'

    fun write(value: Any?): String = StringBuilder().also { write(value, it) }.toString()

    private fun write(value: Any?, out: StringBuilder) {
        when (value) {
            null -> out.append("null")
            is String -> string(value, out)
            is Map<*, *> -> {
                var comma = '{'
                for ((key, item) in value) {
                    out.append(comma)
                    string(key as String, out)
                    out.append(':')
                    write(item, out)
                    comma = ','
                }
                out.append(if (value.isEmpty()) "{}" else "}")
            }
            is IntArray -> items(value.size, out) { out.append(value[it]) }
            is LongArray -> items(value.size, out) { out.append(value[it]) }
            is List<*> -> items(value.size, out) { write(value[it], out) }
            is Ranges -> items(value.size, out) {
                out.append('[').append(value.start(it)).append(',').append(value.end(it)).append(']')
            }
            is Double -> {
                require(value.isFinite()) { "JSON has no $value" }
                out.append(value)
            }
            is Int, is Long, is Boolean -> out.append(value)
            else -> throw IllegalArgumentException("no JSON for ${value::class}")
        }
    }

    private inline fun items(size: Int, out: StringBuilder, item: (Int) -> Unit) {
        out.append('[')
        for (i in 0 until size) {
            if (i > 0) out.append(',')
            item(i)
        }
        out.append(']')
    }

    private fun string(text: String, out: StringBuilder) {
        out.append('"')
        text.forEachIndexed { i, char ->
            when {
                char == '"' || char == '\\' -> out.append('\\').append(char)
                char < ' ' -> out.append("\\u00").append(HEX[char.code shr 4]).append(HEX[char.code and 15])
                // UTF-8 has no unpaired surrogates.
                char.isSurrogate() && !paired(text, i) -> out.append(REPLACEMENT)
                else -> out.append(char)
            }
        }
        out.append('"')
    }

    private fun paired(text: String, i: Int): Boolean =
        if (text[i].isHighSurrogate()) {
            i + 1 < text.length && text[i + 1].isLowSurrogate()
        } else {
            i > 0 && text[i - 1].isHighSurrogate()
        }
}

/** Ranges [start, end), written as pairs. */
class Ranges(val size: Int, val start: (Int) -> Int, val end: (Int) -> Int)
