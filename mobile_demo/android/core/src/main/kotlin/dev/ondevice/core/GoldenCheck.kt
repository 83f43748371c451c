package dev.ondevice.core

import kotlin.math.abs

/** How many goldens passed and failed, by kind, and what was wrong with the first that failed. */
class GoldenReport internal constructor(
    val counts: Map<String, Count>,
    val firstFailure: String?,
) {
    val passed: Boolean get() = counts.values.all { it.failed == 0 }

    class Count {
        var passed = 0
            internal set
        var failed = 0
            internal set
    }
}

/** Runs those of a bundle's goldens that need no model. */
class GoldenCheck(private val tokenizer: WordPiece) {
    private val windows = Windows(tokenizer)

    fun run(goldens: List<Golden>): GoldenReport {
        val counts = listOf("tokenize", "window", "decode").associateWith { GoldenReport.Count() }
        var first: String? = null
        for (golden in goldens) {
            val (kind, failure) = when (golden) {
                is TokenizeGolden -> "tokenize" to checkTokens(golden)
                is WindowGolden -> "window" to checkWindows(golden)
                is DecodeGolden -> "decode" to checkDecode(golden)
                is RunGolden, is AnswerGolden -> continue
            }
            val count = counts.getValue(kind)
            if (failure == null) count.passed++ else count.failed++
            first = first ?: failure?.let { "$kind: $it" }
        }
        return GoldenReport(counts, first)
    }

    private fun checkTokens(golden: TokenizeGolden): String? {
        val text = CodePoints.of(golden.text)
        val tokens = tokenizer.tokenize(text)
        val offsets = pairs(tokens.starts, tokens.ends)
        val wrong = when {
            !tokens.ids.contentEquals(golden.ids) -> "other ids"
            !offsets.contentEquals(golden.offsets) -> "other offsets"
            !utf16(offsets, text).contentEquals(golden.utf16Offsets) -> "other UTF-16 offsets"
            else -> return null
        }
        return "$wrong for '${golden.text}'"
    }

    private fun checkWindows(golden: WindowGolden): String? {
        val context = CodePoints.of(golden.context)
        val found = try {
            windows.cut(CodePoints.of(golden.question), context, golden.options.options())
        } catch (error: CoreException) {
            return if (error.kind.word == golden.error) null else "${error.message} (an error)"
        }
        if (golden.error != null) return "it should have been the error ${golden.error}"
        if (found.size != golden.windows.size) {
            return "${found.size} windows where there should be ${golden.windows.size}"
        }
        val number = found.indices.firstOrNull { !same(found[it], golden.windows[it], context) }
        return number?.let { "window $it differs for '${golden.question}'" }
    }

    private fun same(window: Window, row: WindowRow, context: CodePoints): Boolean {
        val offsets = pairs(window.starts, window.ends)
        val marks = IntArray(window.size) { if (window.maxContext[it]) 1 else 0 }
        return window.inputIds.contentEquals(row.inputIds) &&
            window.tokenTypeIds.contentEquals(row.tokenTypeIds) &&
            offsets.contentEquals(row.offsets) &&
            utf16(offsets, context).contentEquals(row.utf16Offsets) &&
            window.contextStart == row.context[0] && window.contextEnd == row.context[1] &&
            marks.contentEquals(row.maxContext)
    }

    private fun checkDecode(golden: DecodeGolden): String? {
        val found = try {
            golden.input.decode()
        } catch (error: CoreException) {
            return if (error.kind.word == golden.error) null else "${error.message} (an error)"
        }
        val same = golden.error == null && found.size == golden.answers.size &&
            found.indices.all { same(found[it], golden.answers[it]) }
        return if (same) null else golden.name
    }

    private fun same(found: Answer, expected: Answer): Boolean =
        found.text == expected.text && found.start == expected.start && found.end == expected.end &&
            abs(found.score - expected.score) <= SCORE_LIMIT &&
            abs(found.probability - expected.probability) <= PROBABILITY_LIMIT

    private fun pairs(starts: IntArray, ends: IntArray) =
        IntArray(2 * starts.size) { if (it % 2 == 0) starts[it / 2] else ends[it / 2] }

    private fun utf16(places: IntArray, text: CodePoints) =
        IntArray(places.size) { text.utf16(places[it]) }

    private companion object {
        const val SCORE_LIMIT = 1e-5

        // What goldens state is rounded to six decimals.
        const val PROBABILITY_LIMIT = 1e-6
    }
}
