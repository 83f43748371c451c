package dev.ondevice.core

import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith

class JsonTest {
    private fun read(text: String) = JsonReader(text).read()

    @Test
    fun readsEveryKindOfValue() {
        val expected = JsonObject(
            mapOf(
                "a" to JsonArray(listOf(JsonNumber(1.0, 1), JsonNumber(-0.5, null), JsonNull)),
                "b" to JsonString("x\"\n\u00e9"),
                "c" to JsonBoolean(true),
            ),
        )
        assertEquals(expected, read(""" {"a": [1, -5e-1, null], "b": "x\"\n\u00e9", "c":true} """))
        assertEquals(JsonString("\uD800"), read("\"\\ud800\""))
        assertEquals(JsonNumber(1e30, null), read("1" + "0".repeat(30)))
        assertEquals(JsonNumber(Double.POSITIVE_INFINITY, null), read("1e400"))
    }

    @Test
    fun refusesWhatIsAlmostJson() {
        val wrong = listOf(
            "", " ", "{", "[", "[1,]", "{\"a\":1,}", "{a:1}", "'a'", "01", "1.", ".5", "+1", "-", "1e",
            "nul", "NaN", "Infinity", "\"a", "\"\u0001\"", "\"\\x\"", "\"\\u12\"", "1 2",
            "[1 2]", "{\"a\" 1}", "\u00a01", "tru",
        )
        for (text in wrong) assertFailsWith<JsonSyntaxException>(text) { read(text) }
    }

    @Test
    fun endsAtALimitOfNesting() {
        read("[".repeat(60) + "]".repeat(60))
        assertFailsWith<JsonSyntaxException> { read("[".repeat(1_000_000)) }
        assertFailsWith<JsonSyntaxException> { read("{\"a\":".repeat(1_000_000)) }
    }

    @Test
    fun writesWhatItReads() {
        val text = JsonWriter.write(
            mapOf("a" to listOf(1, 2.5, null, true), "b" to "\u0000\"\\é😀", "c" to intArrayOf()),
        )
        assertEquals("{\"a\":[1,2.5,null,true],\"b\":\"\\u0000\\\"\\\\é😀\",\"c\":[]}", text)
        assertEquals("\"\uFFFDa\uFFFD\"", JsonWriter.write("\uD800a\uDC00"))
        assertEquals("{}", JsonWriter.write(emptyMap<String, Int>()))
    }
}
