package dev.ondevice.qa

import dev.ondevice.core.Engine
import dev.ondevice.core.EngineException
import dev.ondevice.core.EngineInfo
import dev.ondevice.core.ModelInputs
import java.io.File
import org.pytorch.executorch.EValue
import org.pytorch.executorch.Module
import org.pytorch.executorch.Tensor

/**
 * ExecuTorch with XNNPACK on the CPU; each length is a method.
 *
 * The format names neither inputs nor outputs, so the program's constant methods say their order.
 */
class ExecuTorchEngine(private val request: EngineRequest, private val file: File) : Engine {
    private val artifact = request.bundle.manifest.artifact
    private val module: Module = load()
    private val inputs: List<String>
    private val outputs: List<String>
    private val vocabularySize: Long

    init {
        try {
            inputs = constant("get_inputs") { it.toStr() }.split(',')
            outputs = constant("get_outputs") { it.toStr() }.split(',')
            vocabularySize = constant("get_vocab_size") { it.toInt() }
            // Otherwise the first question of each length would pay for it.
            for (length in artifact.lengths) guarded("cannot load") { module.loadMethod(method(length)) }
        } catch (error: EngineException) {
            module.destroy() // nobody else has it
            throw error
        }
    }

    override val info = EngineInfo(
        name = "executorch",
        version = BuildVersions.EXECUTORCH,
        accelerator = "xnnpack",
        threads = request.threads,
    )

    override fun run(inputs: ModelInputs): Map<String, FloatArray> {
        // An id beyond the table would end the process inside the lookup's kernel.
        if (inputs.row("input_ids").any { it < 0 || it >= vocabularySize }) {
            throw EngineException("an id is not in the model's vocabulary of $vocabularySize pieces")
        }
        val shape = longArrayOf(1, inputs.length.toLong())
        return guarded("cannot run") {
            val values = this.inputs.map { EValue.from(Tensor.fromBlob(inputs.row(it), shape)) }
            val results = module.execute(method(inputs.length), *values.toTypedArray())
            if (results.size != outputs.size) {
                val given = "${results.size} outputs instead of ${outputs.size}"
                throw EngineException("the model gave $given")
            }
            outputs.indices.associate { outputs[it] to results[it].toTensor().dataAsFloatArray }
        }
    }

    override fun close() = module.destroy()

    private fun method(length: Int): String =
        if (artifact.lengths.size == 1) "forward" else "forward_$length"

    private fun load(): Module = guarded("cannot load") {
        Module.load(file.path, Module.LOAD_MODE_MMAP, request.threads)
    }

    private fun <T> constant(name: String, read: (EValue) -> T): T =
        guarded("cannot read $name of") { read(module.execute(name).first()) }

    // The binding throws its own RuntimeException, and others of Java's.
    @Suppress("TooGenericExceptionCaught")
    private fun <T> guarded(what: String, action: () -> T): T = try {
        action()
    } catch (error: RuntimeException) {
        throw EngineException("ExecuTorch $what the model: ${error.message}", error)
    }
}

/** What the app was built with, where a runtime does not say so itself. */
object BuildVersions {
    /** As in gradle/libs.versions.toml. */
    const val EXECUTORCH = "1.5.1"
}
