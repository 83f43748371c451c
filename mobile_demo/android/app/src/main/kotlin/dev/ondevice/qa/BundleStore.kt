package dev.ondevice.qa

import android.content.res.AssetManager
import dev.ondevice.core.Bundle
import dev.ondevice.core.BundleFiles
import dev.ondevice.core.CoreException
import dev.ondevice.core.ErrorKind
import dev.ondevice.core.Passage
import dev.ondevice.core.Passages
import java.io.FileNotFoundException
import java.io.IOException
import java.io.InputStream
import java.util.concurrent.ConcurrentHashMap

/** The files of one bundle in the app's assets. */
class AssetFiles(private val assets: AssetManager, val directory: String) : BundleFiles {
    override fun open(path: String): InputStream? = try {
        assets.open("$directory/$path", AssetManager.ACCESS_STREAMING)
    } catch (_: FileNotFoundException) {
        null
    }
}

/** The bundles that `ondevice embed` put into the app; there is no other place for models. */
class BundleStore(private val assets: AssetManager) {
    /** Names of the bundles, in the order of the alphabet. */
    fun names(): List<String> = assets.list(DIRECTORY).orEmpty().sorted().filter {
        Bundle.MANIFEST in assets.list(directory(it)).orEmpty()
    }

    /** Where a bundle's files are among the assets. */
    fun directory(name: String): String = "$DIRECTORY/$name"

    /**
     * Open a bundle; at the first time in this process every file that the app reads is compared
     * with its hash in the manifest.
     *
     * @throws CoreException it is not there, or not as it was published
     */
    fun open(name: String): Bundle {
        val bundle = Bundle.open(AssetFiles(assets, directory(name)))
        if (name !in verified) {
            bundle.verify(bundle.neededFiles())
            verified.add(name)
        }
        return bundle
    }

    /** The bundles whose manifest can be read, by name; their files are not compared. */
    fun readable(): Map<String, Bundle> = names().mapNotNull { name ->
        try {
            name to Bundle.open(AssetFiles(assets, directory(name)))
        } catch (_: CoreException) {
            null
        }
    }.toMap()

    /**
     * The sample passages, which `ondevice embed` puts beside the bundles; the first one has a
     * question.
     *
     * @throws CoreException they are not there, or cannot be read
     */
    fun passages(): List<Passage> {
        val text = try {
            assets.open("$DIRECTORY/$PASSAGES", AssetManager.ACCESS_STREAMING)
                .use { it.readBytes().decodeToString() }
        } catch (error: IOException) {
            val message = "there are no passages: run ondevice embed"
            throw CoreException(ErrorKind.BAD_PASSAGES, message, error)
        }
        return Passages.read(text)
    }

    private companion object {
        const val DIRECTORY = "bundles"
        const val PASSAGES = "qa.json"
        val verified: MutableSet<String> = ConcurrentHashMap.newKeySet()
    }
}
