package dev.ondevice.core

/**
 * A model in use: loaded, and seen to give its goldens' answers on this phone. The goldens have runs
 * of every length, so that times of answers are those of a warm model.
 */
class CheckedModel private constructor(
    private val engine: Engine,
    private val answering: QuestionAnswering,
    /** How many goldens it was compared with; all passed. */
    val goldens: Int,
) : AutoCloseable {
    /** As [QuestionAnswering.answer], with the manifest's own options. */
    fun answer(question: String, context: String): Reply = answering.answer(question, context)

    override fun close() = engine.close()

    companion object {
        /**
         * Load a bundle's model and run its goldens; a model that fails one is closed again.
         *
         * @throws CoreException the bundle cannot be used
         * @throws EngineException the model cannot be loaded, or fails a golden
         */
        fun open(bundle: Bundle, openEngine: () -> Engine): CheckedModel {
            val tokenizer = bundle.tokenizer()
            val goldens = bundle.goldens()
            val engine = openEngine()
            return try {
                val answering = QuestionAnswering(bundle.manifest, tokenizer, engine)
                val report = ModelCheck(tokenizer, engine, answering).run(goldens)
                if (report.failure != null) {
                    val message = "the model fails a golden here, so it is not used: ${report.failure}"
                    throw EngineException(message)
                }
                CheckedModel(engine, answering, report.checked)
            } catch (error: Exception) {
                engine.close() // nobody else has it
                throw error
            }
        }
    }
}
