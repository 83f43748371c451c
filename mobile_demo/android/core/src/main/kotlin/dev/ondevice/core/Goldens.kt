package dev.ondevice.core

/** A record of `golden.jsonl`: an input with the answer that it must give. */
sealed interface Golden

/** A text, its ids without special tokens, and where each token stands; see `WindowRow`. */
class TokenizeGolden internal constructor(
    val text: String,
    internal val ids: IntArray,
    internal val offsets: IntArray,
    internal val utf16Offsets: IntArray,
) : Golden

/** A pair and the windows over it, or the error that it is. */
class WindowGolden internal constructor(
    val question: String,
    val context: String,
    val options: WindowInfo,
    internal val windows: List<WindowRow>,
    internal val error: String?,
) : Golden

/** A window as a golden has it; pairs of places are laid out as start, end, start, end. */
internal class WindowRow(
    val inputIds: IntArray,
    val tokenTypeIds: IntArray,
    val offsets: IntArray,
    val utf16Offsets: IntArray,
    val context: IntArray,
    val maxContext: IntArray,
)

/**
 * Model inputs of one length, with the checkpoint's outputs for the first `valid` tokens.
 *
 * The artifact may differ by `maxAbs` in each value, or have the cosine similarity `minCosine` at
 * least, whichever is given.
 */
class RunGolden internal constructor(
    val length: Int,
    val valid: Int,
    val inputs: Map<String, IntArray>,
    val outputs: Map<String, FloatArray>,
    val maxAbs: Double?,
    val minCosine: Double?,
) : Golden

/** Made-up logits over windows and the answers to choose, best first, or the error. */
class DecodeGolden internal constructor(
    val name: String,
    internal val input: DecodeInput,
    internal val answers: List<Answer>,
    internal val error: String?,
) : Golden

/** A question from end to end; where `decisive` is false, another answer proves nothing. */
class AnswerGolden internal constructor(
    val question: String,
    val context: String,
    val options: WindowInfo,
    val windows: Int,
    val answer: Answer,
    val decisive: Boolean,
) : Golden

/** Reads `golden.jsonl`, strictly. */
internal object GoldenReader {
    private val KIND = ErrorKind.BAD_GOLDEN
    private val INPUT_ERRORS = setOf("empty_question", "empty_context")
    private val DECODE_ERRORS = setOf("not_finite")

    fun read(text: String): List<Golden> {
        val lines = text.removeSuffix("\n").split('\n')
        if (lines == listOf("")) return emptyList()
        return lines.mapIndexed { i, line ->
            try {
                record(JsonFields(parseJson(line, "it", KIND), "", KIND))
            } catch (error: CoreException) {
                val message = "line ${i + 1} of ${Bundle.GOLDENS} is not a golden: ${error.message}"
                throw CoreException(KIND, message, error)
            }
        }
    }

    private fun record(fields: JsonFields): Golden {
        val golden = when (fields.string("kind")) {
            "tokenize" -> tokenize(fields)
            "window" -> window(fields)
            "run" -> run(fields)
            "decode" -> decode(fields)
            "answer" -> answer(fields)
            else -> fields.fail("kind", "tokenize, window, run, decode or answer")
        }
        fields.end()
        return golden
    }

    private fun tokenize(fields: JsonFields) = TokenizeGolden(
        fields.string("text"),
        fields.ints("ids"),
        fields.ranges("offsets"),
        fields.ranges("utf16_offsets"),
    )

    private fun window(fields: JsonFields) = WindowGolden(
        question = fields.string("question"),
        context = fields.string("context"),
        options = ManifestReader.window(fields.fields("options")),
        windows = fields.objects("windows").map { row ->
            WindowRow(
                inputIds = row.ints("input_ids"),
                tokenTypeIds = row.ints("token_type_ids"),
                offsets = row.ranges("offsets"),
                utf16Offsets = row.ranges("utf16_offsets"),
                context = row.range("context"),
                maxContext = row.ints("max_context"),
            ).also { row.end() }
        },
        error = error(fields, INPUT_ERRORS),
    )

    private fun run(fields: JsonFields) = RunGolden(
        length = fields.int("length", least = 1),
        valid = fields.int("valid", least = 1),
        inputs = fields.map("inputs") { ints(it) },
        outputs = fields.map("outputs") { name -> output(this, name) },
        maxAbs = nullable(fields, "max_abs"),
        minCosine = nullable(fields, "min_cosine"),
    )

    private fun decode(fields: JsonFields) = DecodeGolden(
        name = fields.string("name"),
        input = decodeInput(fields),
        answers = fields.objects("answers").map { span(it) },
        error = error(fields, DECODE_ERRORS),
    )

    private fun decodeInput(fields: JsonFields): DecodeInput {
        ManifestReader.window(fields.fields("options"))
        val input = DecodeInput.read(fields)
        // Those of the windows were read by the line above; nothing else may be in them.
        val names = setOf("offsets", "context", "max_context", "start_logits", "end_logits")
        for (window in fields.array("windows")) {
            if ((window as JsonObject).values.keys != names) fields.fail("windows", "$names each")
        }
        return input
    }

    private fun answer(fields: JsonFields): AnswerGolden {
        fields.range("utf16")
        nullable(fields, "margin") ?: fields.fail("margin", "a number")
        return AnswerGolden(
            question = fields.string("question"),
            context = fields.string("context"),
            options = ManifestReader.window(fields.fields("options")),
            windows = fields.int("windows", least = 1),
            answer = span(fields.fields("answer")),
            decisive = fields.boolean("decisive"),
        )
    }

    private fun span(fields: JsonFields) = Answer(
        text = fields.string("text"),
        start = fields.int("start", least = 0),
        end = fields.int("end", least = 0),
        score = fields.double("score"),
        probability = fields.double("probability"),
    ).also {
        if (it.probability !in 0.0..1.0) fields.fail("probability", "between 0 and 1")
        fields.end()
    }

    private fun error(fields: JsonFields, words: Set<String>): String? {
        val word = fields.stringOrNull("error")
        if (word != null && word !in words) fields.fail("error", words.joinToString(" or "))
        return word
    }

    /** A number or null, which must be there. */
    private fun nullable(fields: JsonFields, name: String): Double? {
        if (!fields.has(name)) fields.fail(name, "a number or null")
        return fields.doubleOrNull(name)
    }

    /** An output [1, W], [1, L] or [1, L, C], flat. */
    private fun output(fields: JsonFields, name: String): FloatArray {
        val row = (fields.array(name).singleOrNull() as? JsonArray)?.values
            ?: fields.fail(name, "a list of one row")
        val values = row.flatMap { (it as? JsonArray)?.values ?: listOf(it) }
        return FloatArray(values.size) {
            val value = (values[it] as? JsonNumber)?.value?.toFloat()
            value?.takeIf { number -> number.isFinite() } ?: fields.fail(name, "finite numbers")
        }
    }
}
