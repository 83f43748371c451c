package dev.ondevice.core

import kotlin.test.Test
import kotlin.test.assertContentEquals
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue

class QuestionsTest {
    private val windows = Windows(wordPiece())
    private val options = QAOptions(maxLength = 16, docStride = 2, maxQuery = 4, nBest = 3)

    private fun cut(question: String, context: String, options: QAOptions = this.options) =
        windows.cut(CodePoints.of(question), CodePoints.of(context), options)

    private fun window(size: Int, vararg marks: Int) = Window(
        IntArray(size), IntArray(size), IntArray(size) { it }, IntArray(size) { it + 1 }, 0, size,
        BooleanArray(size) { it in marks },
    )

    @Test
    fun oneWindowHoldsAShortPair() {
        val window = cut("ada?", "in rome").single()
        assertEquals(
            listOf("[CLS]", "ada", "?", "[SEP]", "in", "rome", "[SEP]"),
            window.inputIds.map { PIECES[it] },
        )
        assertContentEquals(intArrayOf(0, 0, 0, 0, 1, 1, 1), window.tokenTypeIds)
        assertContentEquals(intArrayOf(0, 0, 0, 0, 0, 3, 0), window.starts)
    }

    @Test
    fun neighboursShareTheStride() {
        val found = cut("ada", List(30) { "met" }.joinToString(" "))
        // Twelve of context fit, ten of them new in each window.
        assertEquals(listOf(0, 40, 80), found.map { it.starts[it.contextStart] })
        val shown = found.sumOf { window -> window.maxContext.count { it } }
        assertEquals(30, shown, "each token has max-context once")
    }

    @Test
    fun longQuestionsAreCut() {
        val window = cut("ada met ada met ada met", "rome").single()
        assertEquals(4, window.contextStart - 2)
    }

    @Test
    fun emptyTextsAreErrors() {
        assertEquals(ErrorKind.EMPTY_QUESTION, kindOf { cut(" \u0007", "rome") })
        assertEquals(ErrorKind.EMPTY_CONTEXT, kindOf { cut("ada", "\u00A0\n") })
    }

    @Test
    fun optionsWithoutRoomAreErrors() {
        assertEquals(ErrorKind.BAD_REQUEST, kindOf { QAOptions(maxLength = 20, maxQuery = 9) })
        assertEquals(ErrorKind.BAD_REQUEST, kindOf { QAOptions(nBest = 0) })
        assertEquals(ErrorKind.BAD_REQUEST, kindOf { QAOptions(docStride = -1) })
        assertEquals(21, QAOptions.forLength(64).maxQuery)
    }

    private fun decode(
        start: FloatArray,
        end: FloatArray,
        window: Window = window(4, 0, 1, 2, 3),
        options: QAOptions = this.options,
    ) = SpanDecoder.decode(listOf(window), listOf(start), listOf(end), CodePoints.of("abcd"), options)

    @Test
    fun equalScoresGoToTheEarlierSpan() {
        val flat = FloatArray(4)
        assertEquals(listOf("a", "ab", "abc"), decode(flat, flat).map { it.text })
        assertTrue(decode(flat, flat).all { it.probability == 1.0 / 3 })
        // Negative zero is no less than zero.
        val signed = floatArrayOf(-0f, 0f, 0f, 0f)
        assertEquals("a", decode(signed, signed)[0].text)
    }

    @Test
    fun spansEndAfterTheyStartAndAreShort() {
        val start = floatArrayOf(0f, 0f, 0f, 9f)
        val end = floatArrayOf(9f, 0f, 0f, 0f)
        assertEquals("a", decode(start, end)[0].text)
        val short = options.copy(maxAnswer = 1, nBest = 9)
        assertEquals(listOf("a", "d", "b", "c"), decode(start, end, options = short).map { it.text })
    }

    @Test
    fun spansStartWhereTheWindowHasMaxContext() {
        val start = floatArrayOf(9f, 0f, 0f, 0f)
        assertEquals("b", decode(start, FloatArray(4), window(4, 1, 2))[0].text)
        assertEquals(emptyList(), decode(start, start, window(4)))
    }

    @Test
    fun logitsMustBeFinite() {
        for (broken in listOf(Float.NaN, Float.POSITIVE_INFINITY)) {
            val logits = floatArrayOf(0f, broken, 0f, 0f)
            assertEquals(ErrorKind.NOT_FINITE, kindOf { decode(FloatArray(4), logits) })
        }
        val padded = floatArrayOf(1f, 0f, 0f, 0f, Float.NaN)
        assertEquals("a", decode(padded, padded)[0].text)
    }

    @Test
    fun sumsBeyondFloatAreNoAnswers() {
        val huge = FloatArray(4) { Float.MAX_VALUE }
        assertEquals(emptyList(), decode(huge, huge))
    }

    @Test
    fun answersFromEndToEnd() {
        val bundle = Bundle.open(memoryBundle())
        // [CLS] ada [SEP] met in rome [SEP]: the sixth token is "rome".
        val answering = QuestionAnswering(bundle.manifest, bundle.tokenizer(), FakeEngine(5))
        val reply = answering.answer("ada", "met in Rome")
        assertEquals("Rome", reply.answers[0].text)
        assertEquals(listOf(LENGTH), reply.lengths)
    }

    @Test
    fun windowsBeyondTheModelsLengthAreErrorsOfTheEngine() {
        val bundle = Bundle.open(memoryBundle())
        val answering = QuestionAnswering(bundle.manifest, bundle.tokenizer(), FakeEngine(5))
        val error = assertFailsWith<EngineException> {
            answering.answer("ada", "met in Rome", lengths = listOf(4))
        }
        assertTrue("7 tokens" in error.message, error.message)
    }
}
