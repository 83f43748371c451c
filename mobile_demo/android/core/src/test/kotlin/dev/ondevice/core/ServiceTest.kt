package dev.ondevice.core

import kotlin.test.Test
import kotlin.test.assertEquals

class ServiceTest {
    private val service = Service { wordPiece() }

    private fun field(line: String, name: String, service: Service = this.service): Json? =
        (JsonReader(service.answer(line)).read() as JsonObject).values[name]

    @Test
    fun answersAndGoesOn() {
        assertEquals(JsonString("bad_request"), field("nonsense", "error"))
        val a = PIECES.indexOf("a")
        val ids = JsonArray(listOf(JsonNumber(a.toDouble(), a.toLong())))
        assertEquals(ids, field("""{"op": "tokenize", "text": "a"}""", "ids"))
    }

    @Test
    fun refusesWhatDoesNotFit() {
        val decode = """"op": "decode", "context": "a", "options": {"max_length": 32,
            "doc_stride": 1, "max_query": 8, "max_answer": 3, "n_best": 2}""".replace("\n", " ")
        val lines = listOf(
            "[]",
            "{}",
            """{"op": "fly"}""",
            """{"op": "tokenize", "text": 1}""",
            """{"op": "statistics", "samples": []}""",
            """{"op": "statistics", "samples": [null]}""",
            """{"op": "statistics", "samples": [1, 1e400]}""",
            """{"op": "time", "text": "a", "repeat": 1e400}""",
            """{"op": "time", "text": "a", "repeat": 0}""",
            """{"op": "time", "text": "a", "repeat": 99999999999999999999}""",
            """{$decode, "windows": [{"offsets": [[0, 1]], "context": [0, 2], "max_context": [1],
                "start_logits": [1], "end_logits": [1]}]}""",
            """{$decode, "windows": [{"offsets": [[0, 1]], "context": [0, 1], "max_context": [1],
                "start_logits": [], "end_logits": [1]}]}""",
            """{$decode, "windows": [{"offsets": [[0, 2]], "context": [0, 1], "max_context": [1],
                "start_logits": [1], "end_logits": [1]}]}""",
            """{$decode, "windows": [{"offsets": [[1, 0]], "context": [0, 1], "max_context": [1],
                "start_logits": [1], "end_logits": [1]}]}""",
        )
        for (line in lines) assertEquals(JsonString("bad_request"), field(line, "error"), line)
    }

    @Test
    fun logitsBeyondADoubleAreNotFinite() {
        for (logit in listOf("1e400", "-1e400", "1e39", "1" + "0".repeat(400))) {
            val line = """{"op": "decode", "context": "a", "options": {"max_length": 32, """ +
                """"doc_stride": 1, "max_query": 8, "max_answer": 3, "n_best": 2}, "windows": [""" +
                """{"offsets": [[0, 1]], "context": [0, 1], "max_context": [1], """ +
                """"start_logits": [$logit], "end_logits": [1]}]}"""
            assertEquals(JsonString("not_finite"), field(line, "error"), logit)
        }
    }

    @Test
    fun saysThatAVocabularyIsNeeded() {
        val without = Service { throw CoreException(ErrorKind.NO_VOCABULARY, "none") }
        val line = """{"op": "tokenize", "text": "a"}"""
        repeat(2) { assertEquals(JsonString("no_vocabulary"), field(line, "error", without)) }
        val samples = """{"op": "statistics", "samples": [1, 2, 3, 4, 5]}"""
        assertEquals(JsonNumber(3.0, null), field(samples, "median", without))
        assertEquals(JsonNumber(4.6, null), field(samples, "p90", without))
    }
}
