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

/** The runtimes of this app. */
object Engines {
    /** By the format that each runs: what makes the file ready, and then loads it. */
    val BY_TARGET: Map<String, (EngineRequest) -> () -> Engine> = mapOf(
        "tflite" to { request -> { LiteRtEngine(request) } },
        "executorch" to { request ->
            val file = ModelFile(request.context).place(request.asset, request.bundle)
            val load = { ExecuTorchEngine(request, file) }
            load
        },
    )

    // The fast cores of most phones. The same for every engine: ExecuTorch's have one thread pool,
    // which a load with another number would take away from the methods already loaded.
    private const val MOST_THREADS = 4

    /** Whether this process has begun to load a model, of any bundle and for any screen. */
    @Volatile
    var loaded = false
        private set

    /**
     * Make a bundle's model ready; what is returned loads it, and may be called again and again.
     *
     * Apart from loading, so that a benchmark times the load and not a copy of the file.
     *
     * @throws EngineException the app has no runtime for the format; or, at the load, it cannot
     *   load the file
     */
    fun loader(context: Context, store: BundleStore, name: String, bundle: Bundle): () -> Engine {
        val artifact = bundle.manifest.artifact
        val prepare = BY_TARGET[artifact.target]
            ?: throw EngineException(context.getString(R.string.unknown_target, artifact.target))
        val threads = minOf(MOST_THREADS, Runtime.getRuntime().availableProcessors())
        val asset = "${store.directory(name)}/${artifact.file}"
        val load = prepare(EngineRequest(context, asset, bundle, threads))
        return {
            loaded = true
            try {
                load()
            } catch (error: LinkageError) {
                // The runtime's library is not in the app, or not for this processor.
                throw EngineException(context.getString(R.string.no_library, error.message), error)
            }
        }
    }
}
