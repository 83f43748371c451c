package dev.ondevice.qa

import android.content.Context
import dev.ondevice.core.Bundle
import dev.ondevice.core.Engine
import dev.ondevice.core.EngineException

/** What an engine needs to load an artifact. */
class EngineRequest(
    val context: Context,
    /** The artifact's path among the assets. */
    val asset: String,
    val bundle: Bundle,
    val threads: Int,
)

/** The runtimes of this app, by the format that they run. */
object Engines {
    val BY_TARGET: Map<String, (EngineRequest) -> Engine> = mapOf(
        "tflite" to ::LiteRtEngine,
        "executorch" to ::ExecuTorchEngine,
    )

    // The fast cores of most phones. The same for every engine: ExecuTorch's have one thread pool,
    // which a load with another number would take away from the methods already loaded.
    private const val MOST_THREADS = 4

    /** @throws EngineException the app has no runtime for the format, or it cannot load the file */
    fun load(context: Context, store: BundleStore, name: String, bundle: Bundle): Engine {
        val artifact = bundle.manifest.artifact
        val open = BY_TARGET[artifact.target]
            ?: throw EngineException(context.getString(R.string.unknown_target, artifact.target))
        val threads = minOf(MOST_THREADS, Runtime.getRuntime().availableProcessors())
        val asset = "${store.directory(name)}/${artifact.file}"
        return open(EngineRequest(context, asset, bundle, threads))
    }
}
