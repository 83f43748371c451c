package dev.ondevice.core

/** How long each stage of a question took, in nanoseconds. */
data class StageTimes(val tokenize: Long, val infer: Long, val decode: Long) {
    val total: Long get() = tokenize + infer + decode
}

/** Answers, best first; `lengths` is what each window was padded to, in reading order. */
class Reply(val answers: List<Answer>, val lengths: List<Int>, val times: StageTimes)

/** Answers questions: tokenizer, windows, an engine, and the choice of spans. */
class QuestionAnswering(
    val manifest: Manifest,
    tokenizer: WordPiece,
    private val engine: Engine,
    private val clock: () -> Long = System::nanoTime,
) {
    private val windows = Windows(tokenizer)

    init {
        val roles = manifest.artifact.outputs.map { it.role }
        if (manifest.task != "qa" || !roles.containsAll(listOf(START, END))) {
            throw CoreException(
                ErrorKind.BAD_MANIFEST,
                "the bundle is for the task '${manifest.task}'; questions need one for 'qa'",
            )
        }
    }

    /**
     * Answer a question from a context of any length, each window at the shortest of the lengths
     * that it fits.
     *
     * @throws CoreException nothing is left of the question or the context, or the model's outputs
     *   are not finite
     * @throws EngineException the runtime failed
     */
    fun answer(
        question: String,
        context: String,
        options: QAOptions = manifest.window.options(),
        lengths: List<Int> = manifest.artifact.lengths,
    ): Reply {
        val begin = clock()
        val contextPoints = CodePoints.of(context)
        val cut = windows.cut(CodePoints.of(question), contextPoints, options)
        val inputs = cut.map { window ->
            val length = lengths.filter { it >= window.size }.minOrNull() ?: lengths.max()
            ModelInputs.of(window, length, manifest.tokenizer.padId)
        }
        val tokenized = clock()
        val outputs = inputs.map { engine.run(it) }
        val inferred = clock()
        val answers = SpanDecoder.decode(
            cut,
            outputs.map { logits(it, START) },
            outputs.map { logits(it, END) },
            contextPoints,
            options,
        )
        val times = StageTimes(tokenized - begin, inferred - tokenized, clock() - inferred)
        return Reply(answers, inputs.map { it.length }, times)
    }

    private fun logits(outputs: Map<String, FloatArray>, role: String): FloatArray =
        outputs[role] ?: throw EngineException("the artifact has no output '$role'")

    private companion object {
        const val START = "start"
        const val END = "end"
    }
}
