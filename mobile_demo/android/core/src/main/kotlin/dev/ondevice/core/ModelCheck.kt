package dev.ondevice.core

import kotlin.math.abs
import kotlin.math.sqrt

/** What came of a bundle's goldens on this phone: `failure` is null if all passed. */
class CheckReport(val checked: Int, maxAbs: Double?, val failure: String?) {
    /** The largest difference of an output value; null if none could be taken. */
    val maxAbs: Double? = maxAbs?.takeIf { it < Double.MAX_VALUE }
}

/**
 * Runs all of a bundle's goldens: those of the code, then those of the model; `checkpoint` is asked
 * before each of the model's, and throws to end it.
 */
class ModelCheck(
    private val tokenizer: WordPiece,
    private val engine: Engine,
    private val answering: QuestionAnswering,
    private val checkpoint: () -> Unit = {},
) {
    fun run(goldens: List<Golden>): CheckReport {
        val code = GoldenCheck(tokenizer).run(goldens)
        if (!code.passed) return CheckReport(checked(code), null, code.firstFailure)
        var checked = checked(code)
        var maxAbs: Double? = null
        for (golden in goldens) {
            checkpoint()
            val failure = try {
                when (golden) {
                    is RunGolden -> {
                        val difference = compare(golden)
                        maxAbs = maxOf(maxAbs ?: 0.0, difference.maxAbs)
                        difference.failure(golden)
                    }
                    is AnswerGolden -> checkAnswer(golden)
                    is TokenizeGolden, is WindowGolden, is DecodeGolden -> continue
                }
            } catch (error: CoreException) {
                error.message
            } catch (error: EngineException) {
                error.message
            }
            checked++
            if (failure != null) return CheckReport(checked, maxAbs, failure)
        }
        return CheckReport(checked, maxAbs, null)
    }

    private fun checked(report: GoldenReport): Int =
        report.counts.values.sumOf { it.passed + it.failed }

    private fun compare(golden: RunGolden): Difference {
        val outputs = engine.run(ModelInputs(golden.length, golden.inputs))
        val worst = Difference(0.0, 1.0)
        return golden.outputs.entries.fold(worst) { so, (role, expected) ->
            so.worse(Difference.of(outputs[role], expected))
        }
    }

    private fun checkAnswer(golden: AnswerGolden): String? {
        val reply = answering.answer(golden.question, golden.context, golden.options.options())
        val expected = golden.answer
        val found = reply.answers.firstOrNull()
        val same = found != null && found.text == expected.text &&
            found.start == expected.start && found.end == expected.end
        // Where the checkpoint hardly decided, another answer proves nothing.
        if (same || !golden.decisive) return null
        return "'${found?.text}' instead of '${expected.text}' for '${golden.question}'"
    }

    /** How far outputs are from what they should be: the worst value, the worst cosine. */
    private class Difference(val maxAbs: Double, val cosine: Double) {
        fun worse(other: Difference) =
            Difference(maxOf(maxAbs, other.maxAbs), minOf(cosine, other.cosine))

        fun failure(golden: RunGolden): String? {
            val limit = golden.maxAbs
            val least = golden.minCosine
            return when {
                // Whatever the limits are, and where there are none.
                maxAbs == WRONG.maxAbs ->
                    "an output is missing or not finite at length ${golden.length}"
                limit != null && maxAbs > limit ->
                    "outputs differ by $maxAbs at length ${golden.length}, more than $limit"
                least != null && cosine < least ->
                    "the outputs' cosine is $cosine at length ${golden.length}, less than $least"
                else -> null
            }
        }

        companion object {
            private val WRONG = Difference(Double.MAX_VALUE, -1.0)

            /** Compare the values that are known; what follows them is padding. */
            fun of(found: FloatArray?, expected: FloatArray): Difference {
                if (found == null || found.size < expected.size) return WRONG
                var maxAbs = 0.0
                var dot = 0.0
                var foundSquares = 0.0
                var expectedSquares = 0.0
                for (i in expected.indices) {
                    val a = found[i].toDouble()
                    val b = expected[i].toDouble()
                    if (!a.isFinite()) return WRONG
                    maxAbs = maxOf(maxAbs, abs(a - b))
                    dot += a * b
                    foundSquares += a * a
                    expectedSquares += b * b
                }
                val norms = sqrt(foundSquares) * sqrt(expectedSquares)
                val cosine = if (norms > 0) dot / norms else if (maxAbs == 0.0) 1.0 else 0.0
                return Difference(maxAbs, cosine)
            }
        }
    }
}
