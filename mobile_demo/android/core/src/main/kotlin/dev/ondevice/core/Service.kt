package dev.ondevice.core

import java.io.File

/** Answers the requests of the protocol, each a line of JSON. */
internal class Service(openTokenizer: () -> WordPiece) {
    // Opened at the first request that needs it; a failure is the answer to each of them.
    private val tokenizer = lazy { runCatching(openTokenizer) }

    fun answer(line: String): String = try {
        val request = JsonFields(parseJson(line, "the line", BAD), "", BAD)
        JsonWriter.write(answer(request))
    } catch (error: CoreException) {
        error(error)
    }

    private fun answer(request: JsonFields): Map<String, Any?> = when (request.string("op")) {
        "tokenize" -> tokenize(request)
        "windows" -> windows(request)
        "decode" -> decode(request)
        "statistics" -> statistics(request)
        "bundle" -> bundle(request)
        "goldens" -> goldens(request)
        "time" -> time(request)
        "time_decode" -> timeDecode(request)
        else -> throw CoreException(BAD, "the op '${request.string("op")}' is not known")
    }

    private fun wordPiece(): WordPiece = tokenizer.value.getOrThrow()

    private fun tokenize(request: JsonFields): Map<String, Any?> {
        val text = CodePoints.of(request.string("text"))
        val tokens = wordPiece().tokenize(text)
        return mapOf(
            "ids" to tokens.ids,
            "offsets" to Ranges(tokens.size, { tokens.starts[it] }, { tokens.ends[it] }),
            "utf16_offsets" to Ranges(
                tokens.size,
                { text.utf16(tokens.starts[it]) },
                { text.utf16(tokens.ends[it]) },
            ),
        )
    }

    private fun windows(request: JsonFields): Map<String, Any?> {
        val question = CodePoints.of(request.string("question"))
        val context = CodePoints.of(request.string("context"))
        val options = readOptions(request.fields("options"))
        val windows = Windows(wordPiece()).cut(question, context, options)
        return mapOf(
            "windows" to windows.map { window ->
                mapOf(
                    "input_ids" to window.inputIds,
                    "token_type_ids" to window.tokenTypeIds,
                    "offsets" to Ranges(window.size, { window.starts[it] }, { window.ends[it] }),
                    "utf16_offsets" to Ranges(
                        window.size,
                        { context.utf16(window.starts[it]) },
                        { context.utf16(window.ends[it]) },
                    ),
                    "context" to intArrayOf(window.contextStart, window.contextEnd),
                    "max_context" to
                        IntArray(window.size) { if (window.maxContext[it]) 1 else 0 },
                )
            },
        )
    }

    private fun decode(request: JsonFields): Map<String, Any?> {
        val answers = DecodeInput.read(request).decode()
        return mapOf(
            "answers" to answers.map {
                mapOf(
                    "text" to it.text,
                    "start" to it.start,
                    "end" to it.end,
                    "score" to it.score,
                    "probability" to it.probability,
                )
            },
        )
    }

    private fun statistics(request: JsonFields): Map<String, Any?> =
        with(Statistics.of(request.doubles("samples"))) {
            mapOf(
                "count" to count,
                "mean" to mean,
                "min" to min,
                "max" to max,
                "median" to median,
                "p90" to p90,
                "p99" to p99,
            )
        }

    private fun bundle(request: JsonFields): Map<String, Any?> {
        val bundle = Bundle.open(DirectoryFiles(File(request.string("path"))))
        bundle.verify()
        return with(bundle.manifest) {
            mapOf(
                "model" to model.name,
                "task" to task,
                "target" to artifact.target,
                "scheme" to artifact.scheme,
                "lengths" to artifact.lengths,
                "files" to files.size,
            )
        }
    }

    private fun goldens(request: JsonFields): Map<String, Any?> {
        val bundle = Bundle.open(DirectoryFiles(File(request.string("path"))))
        val report = GoldenCheck(bundle.tokenizer()).run(bundle.goldens())
        val counts = report.counts.map { (kind, count) ->
            kind to mapOf("passed" to count.passed, "failed" to count.failed)
        }
        return counts.toMap() + ("first_failure" to report.firstFailure)
    }

    private fun time(request: JsonFields): Map<String, Any?> {
        val text = request.string("text")
        val wordPiece = wordPiece()
        var tokens = 0
        val samples = repeated(request) { tokens = wordPiece.tokenize(CodePoints.of(text)).size }
        return mapOf("tokens" to tokens, "nanoseconds" to samples)
    }

    private fun timeDecode(request: JsonFields): Map<String, Any?> {
        val input = DecodeInput.read(request)
        return mapOf("nanoseconds" to repeated(request) { input.decode() })
    }

    private inline fun repeated(request: JsonFields, action: () -> Unit): LongArray {
        val repeat = request.int("repeat", least = 1)
        if (repeat > MOST_REPEATS) request.fail("repeat", "at most $MOST_REPEATS")
        return LongArray(repeat) {
            val begin = System.nanoTime()
            action()
            System.nanoTime() - begin
        }
    }

    companion object {
        private val BAD = ErrorKind.BAD_REQUEST
        private const val MOST_REPEATS = 1_000_000

        fun error(error: CoreException): String =
            JsonWriter.write(mapOf("error" to error.kind.word, "message" to error.message))
    }
}

/** Read window options, all of them. */
internal fun readOptions(fields: JsonFields): QAOptions = QAOptions(
    maxLength = fields.int("max_length"),
    docStride = fields.int("doc_stride"),
    maxQuery = fields.int("max_query"),
    maxAnswer = fields.int("max_answer"),
    nBest = fields.int("n_best"),
)

/** Logits over windows, with what is needed to choose spans from them. */
internal class DecodeInput(
    private val context: CodePoints,
    private val options: QAOptions,
    private val windows: List<LogitWindow>,
) {
    fun decode(): List<Answer> = SpanDecoder.decode(
        windows.map { it.window },
        windows.map { it.startLogits },
        windows.map { it.endLogits },
        context,
        options,
    )

    companion object {
        fun read(fields: JsonFields): DecodeInput {
            val context = CodePoints.of(fields.string("context"))
            return DecodeInput(
                context,
                readOptions(fields.fields("options")),
                fields.objects("windows").map { LogitWindow.read(it, context.size) },
            )
        }
    }
}

/** A window with a model's, or made-up, logits over it. */
internal class LogitWindow(
    val window: Window,
    val startLogits: FloatArray,
    val endLogits: FloatArray,
) {
    companion object {
        /** Read a window over a context of so many code points. */
        fun read(fields: JsonFields, contextSize: Int): LogitWindow {
            val offsets = fields.ranges("offsets", least = 0)
            val size = offsets.size / 2
            for (i in 0 until size) {
                if (offsets[2 * i] > offsets[2 * i + 1] || offsets[2 * i + 1] > contextSize) {
                    fields.fail("offsets", "ranges of the context's $contextSize code points")
                }
            }
            val (first, last) = fields.range("context")
            if (first > last || last > size) fields.fail("context", "a range of the window's tokens")
            val marks = fields.ints("max_context")
            if (marks.size != size || marks.any { it !in 0..1 }) {
                fields.fail("max_context", "0 or 1 for each of the window's $size tokens")
            }
            val window = Window(
                inputIds = IntArray(size),
                tokenTypeIds = IntArray(size),
                starts = IntArray(size) { offsets[2 * it] },
                ends = IntArray(size) { offsets[2 * it + 1] },
                contextStart = first,
                contextEnd = last,
                maxContext = BooleanArray(size) { marks[it] == 1 },
            )
            return LogitWindow(
                window,
                logits(fields, "start_logits", size),
                logits(fields, "end_logits", size),
            )
        }

        private fun logits(fields: JsonFields, name: String, size: Int): FloatArray {
            val logits = fields.logits(name)
            if (logits.size < size) fields.fail(name, "a logit for each of the window's $size tokens")
            return logits
        }
    }
}
