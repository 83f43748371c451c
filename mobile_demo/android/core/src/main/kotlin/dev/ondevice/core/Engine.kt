package dev.ondevice.core

/** What an engine is, for the benchmark's document. */
data class EngineInfo(
    val name: String,
    val version: String,
    val accelerator: String,
    val threads: Int,
)

/** A runtime that holds an artifact. It is used by one thread at a time. */
interface Engine : AutoCloseable {
    val info: EngineInfo

    /**
     * Run inputs of one of the artifact's lengths; outputs by role, flat.
     *
     * @throws EngineException the runtime refused them
     */
    fun run(inputs: ModelInputs): Map<String, FloatArray>
}

/** A runtime cannot load an artifact or cannot run it; the message is for the user. */
class EngineException(override val message: String, cause: Throwable? = null) :
    Exception(message, cause)

/** The inputs of an artifact, padded: each a row of `length` int32. */
class ModelInputs(val length: Int, private val rows: Map<String, IntArray>) {
    init {
        val other = rows.entries.firstOrNull { it.value.size != length }
        if (other != null) {
            throw EngineException("the input '${other.key}' has ${other.value.size} of $length tokens")
        }
    }

    /** The row of an input, by its name in the manifest. */
    fun row(name: String): IntArray =
        rows[name] ?: throw EngineException("the artifact wants an input '$name', which is not known")

    companion object {
        fun of(window: Window, length: Int, padId: Int): ModelInputs {
            if (length < window.size) {
                throw EngineException("a window of ${window.size} tokens does not fit in $length")
            }
            return ModelInputs(
                length,
                mapOf(
                    "input_ids" to padded(window.inputIds, length, padId),
                    "attention_mask" to IntArray(length) { if (it < window.size) 1 else 0 },
                    "token_type_ids" to padded(window.tokenTypeIds, length, 0),
                ),
            )
        }

        private fun padded(values: IntArray, length: Int, padding: Int) =
            IntArray(length) { if (it < values.size) values[it] else padding }
    }
}
