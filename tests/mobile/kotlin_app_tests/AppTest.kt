package dev.ondevice.qa

import android.content.Context
import android.content.res.AssetManager
import dev.ondevice.core.Bundle
import dev.ondevice.core.CoreException
import dev.ondevice.core.EngineException
import dev.ondevice.core.LENGTH
import dev.ondevice.core.ModelInputs
import dev.ondevice.core.memoryBundle
import java.io.File
import java.nio.file.Files
import java.util.Collections
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue
import org.pytorch.executorch.EValue
import org.pytorch.executorch.Module
import org.pytorch.executorch.Tensor

/** In place of the app's own, which names all runtimes. */
class EngineRequest(val bundle: Bundle, val threads: Int)

class ExecuTorchEngineTest {
    private val constants = mapOf(
        "get_inputs" to arrayOf(EValue("input_ids")),
        "get_outputs" to arrayOf(EValue("start")),
        "get_vocab_size" to arrayOf(EValue(9L)),
    )

    private fun engine(methods: Map<String, Array<EValue>>): ExecuTorchEngine {
        Module.open = 0
        Module.methods = methods
        return ExecuTorchEngine(EngineRequest(Bundle.open(memoryBundle()), 1), File("model.pte"))
    }

    @Test
    fun aModelWithoutItsConstantsIsClosedAgain() {
        for (name in constants.keys) {
            for (wrong in listOf(emptyMap(), mapOf(name to arrayOf()), mapOf(name to arrayOf(EValue(1.5))))) {
                assertFailsWith<EngineException>(name) { engine(constants - name + wrong) }
                assertEquals(0, Module.open, name)
            }
        }
    }

    @Test
    fun everyLengthIsMadeReadyByTheLoad() {
        assertFailsWith<EngineException> { engine(constants) }
        assertEquals(0, Module.open)
        engine(constants + ("forward" to arrayOf())).close()
    }

    @Test
    fun outputsOfAnotherKindAreErrorsOfTheEngine() {
        val inputs = ModelInputs(LENGTH, mapOf("input_ids" to IntArray(LENGTH)))
        for (output in listOf(arrayOf(EValue("a")), arrayOf())) {
            val engine = engine(constants + ("forward" to output))
            assertFailsWith<EngineException> { engine.run(inputs) }
            engine.close()
            assertEquals(0, Module.open)
        }
        val output = EValue(Tensor(FloatArray(LENGTH)))
        assertEquals(setOf("start"), engine(constants + ("forward" to arrayOf(output))).run(inputs).keys)
    }
}

class BundleStoreTest {
    private val passages = """{"data": [{"title": "T", "paragraphs": [{"context": "a b", "qas": [
        {"question": "a?"}]}]}]}"""

    @Test
    fun passagesLieBesideTheBundles() {
        val files = memoryBundle().files.mapKeys { "bundles/tiny/${it.key}" }
        val store = BundleStore(AssetManager(files + ("bundles/qa.json" to passages.toByteArray())))
        assertEquals("a b", store.passages().single().context)
        assertEquals(listOf("tiny"), store.names())
        assertEquals(setOf("tiny"), store.readable().keys)
        assertFailsWith<CoreException> { BundleStore(AssetManager(files)).passages() }
    }
}

class ModelFileTest {
    private val place = Files.createTempDirectory("models").toFile()
    private val asset = "bundles/tiny/model.tflite"
    private val assets = memoryBundle().files.mapKeys { "bundles/tiny/${it.key}" }
    private val bundle = Bundle.open(memoryBundle())

    private fun placed(assets: Map<String, ByteArray> = this.assets): File =
        ModelFile(Context(place, AssetManager(assets))).place(asset, bundle)

    private fun copies() = File(place, "models").list().orEmpty().toList()

    @Test
    fun onlyCopiesOfModelsInTheAppAreKept() {
        val file = placed()
        assertTrue(file.readBytes().contentEquals(byteArrayOf(1, 2, 3)))
        File(file.parentFile, "0123.pte").writeText("of a model that was")
        File(file.parentFile, "copy1.partial").writeText("never finished")
        assertEquals(file, placed())
        assertEquals(listOf(file.name), copies())
        file.writeText("broken")
        assertTrue(placed().readBytes().contentEquals(byteArrayOf(1, 2, 3)))
    }

    @Test
    fun anotherFileThanThePublishedLeavesNothing() {
        assertFailsWith<CoreException> { placed(assets + (asset to byteArrayOf(9))) }
        assertEquals(emptyList(), copies())
    }

    @Test
    fun copiesAtTheSameTimeAreWhole() {
        val failures = Collections.synchronizedList(ArrayList<Throwable>())
        List(8) {
            Thread { runCatching { placed() }.onFailure { failures += it } }.apply { start() }
        }.forEach { it.join() }
        assertEquals(emptyList(), failures.toList())
        assertEquals(1, copies().size)
    }
}
