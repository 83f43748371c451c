package dev.ondevice.qa

import dev.ondevice.core.Engine
import dev.ondevice.core.EngineException
import dev.ondevice.core.EngineInfo
import dev.ondevice.core.ModelInputs
import dev.ondevice.core.TensorInfo
import java.io.FileInputStream
import java.io.IOException
import java.nio.Buffer
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.MappedByteBuffer
import java.nio.channels.FileChannel
import org.tensorflow.lite.Interpreter
import org.tensorflow.lite.TensorFlowLite

/** LiteRT (TensorFlow Lite) on the CPU; each length is a signature `length_L` of the file. */
class LiteRtEngine(private val request: EngineRequest) : Engine {
    private val artifact = request.bundle.manifest.artifact
    private val interpreter: Interpreter = load()

    override val info = EngineInfo(
        name = "litert",
        version = TensorFlowLite.runtimeVersion(),
        accelerator = "xnnpack",
        threads = request.threads,
    )

    override fun run(inputs: ModelInputs): Map<String, FloatArray> {
        val given = artifact.inputs.associate { it.name to buffer(inputs.row(it.name)) }
        val taken = artifact.outputs.associate { it.name to emptyBuffer(it, inputs.length) }
        try {
            interpreter.runSignature(given, taken, "length_${inputs.length}")
        } catch (error: IllegalArgumentException) {
            throw EngineException("LiteRT refused the inputs: ${error.message}", error)
        } catch (error: IllegalStateException) {
            throw EngineException("LiteRT failed: ${error.message}", error)
        }
        return artifact.outputs.associate { it.role to floats(taken.getValue(it.name)) }
    }

    override fun close() = interpreter.close()

    private fun load(): Interpreter {
        val options = Interpreter.Options()
        options.setNumThreads(request.threads)
        options.setUseXNNPACK(true)
        return try {
            Interpreter(mapped(), options)
        } catch (error: IOException) {
            throw EngineException("the model cannot be read: ${error.message}", error)
        } catch (error: IllegalArgumentException) {
            throw EngineException("LiteRT cannot load the model: ${error.message}", error)
        } catch (error: IllegalStateException) {
            throw EngineException("LiteRT cannot load the model: ${error.message}", error)
        }
    }

    /** Map the model from the installed app, where it lies uncompressed: no copy in memory. */
    private fun mapped(): MappedByteBuffer =
        request.context.assets.openFd(request.asset).use { descriptor ->
            FileInputStream(descriptor.fileDescriptor).use {
                it.channel.map(
                    FileChannel.MapMode.READ_ONLY,
                    descriptor.startOffset,
                    descriptor.declaredLength,
                )
            }
        }

    private fun buffer(row: IntArray): ByteBuffer {
        val buffer = direct(row.size)
        buffer.asIntBuffer().put(row)
        return buffer
    }

    private fun emptyBuffer(output: TensorInfo, length: Int): ByteBuffer =
        direct(output.shape.fold(1) { so, size -> so * if (size == TensorInfo.LENGTH) length else size })

    private fun direct(values: Int): ByteBuffer =
        ByteBuffer.allocateDirect(values * BYTES).order(ByteOrder.nativeOrder())

    private fun floats(buffer: ByteBuffer): FloatArray {
        rewind(buffer)
        val values = FloatArray(buffer.capacity() / BYTES)
        buffer.asFloatBuffer().get(values)
        return values
    }

    // Not ByteBuffer's own `rewind`, which Android has from API 34 only.
    private fun rewind(buffer: Buffer) {
        buffer.rewind()
    }

    private companion object {
        const val BYTES = 4
    }
}
