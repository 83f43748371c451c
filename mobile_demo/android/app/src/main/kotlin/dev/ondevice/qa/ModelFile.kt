package dev.ondevice.qa

import android.content.Context
import dev.ondevice.core.Bundle
import dev.ondevice.core.CoreException
import dev.ondevice.core.EngineException
import dev.ondevice.core.ErrorKind
import dev.ondevice.core.FileInfo
import java.io.File
import java.io.FileOutputStream
import java.io.IOException

/**
 * Copies a model out of the assets, for a runtime that can only open files by their path.
 *
 * The copy is named after its hash, and compared with it before it is loaded; copies of models that
 * the app no longer has are deleted.
 */
class ModelFile(private val context: Context) {
    /**
     * Return the copy of an artifact, made if it is not there.
     *
     * @throws CoreException the asset is not as it was published
     * @throws EngineException it cannot be copied
     */
    fun place(asset: String, bundle: Bundle): File = try {
        synchronized(LOCK) { placed(asset, bundle) }
    } catch (error: IOException) {
        throw EngineException("the model cannot be copied: ${error.message}", error)
    }

    @Throws(IOException::class)
    private fun placed(asset: String, bundle: Bundle): File {
        val name = bundle.manifest.artifact.file
        val expected = bundle.manifest.files[name] ?: throw CoreException(
            ErrorKind.MISSING_FILE,
            "'$name' is not a file of the manifest",
        )
        // Not in a backup, and not in the cache, which the system may clear while it is mapped.
        val directory = File(context.noBackupFilesDir, "models").apply { mkdirs() }
        val file = File(directory, copyName(name, expected))
        // Those of models that the app no longer has, and copies that were never finished.
        val wanted = BundleStore(context.assets).readable().values.mapNotNull { copyName(it) } + file.name
        directory.listFiles().orEmpty().filter { it.name !in wanted }.forEach { it.delete() }
        if (file.isFile && info(file) == expected) return file
        val partial = File.createTempFile("copy", PARTIAL, directory)
        try {
            FileOutputStream(partial).use { out ->
                context.assets.open(asset).use { it.copyTo(out) }
                out.fd.sync()
            }
            // What was written, which need not be what was read.
            if (info(partial) != expected) {
                val message = "'$name' differs from its hash in the manifest"
                throw CoreException(ErrorKind.HASH_MISMATCH, message)
            }
            if (!partial.renameTo(file)) throw IOException("'${file.name}' cannot be put into place")
        } finally {
            partial.delete() // nothing is there once it is renamed
        }
        return file
    }

    private fun info(file: File): FileInfo = file.inputStream().use { FileInfo.of(it) }

    private fun copyName(bundle: Bundle): String? {
        val name = bundle.manifest.artifact.file
        return bundle.manifest.files[name]?.let { copyName(name, it) }
    }

    private fun copyName(name: String, info: FileInfo) =
        "${info.sha256}.${name.substringAfterLast('.')}"

    private companion object {
        const val PARTIAL = ".partial"

        // The benchmark and the questions may want the same copy at the same time.
        val LOCK = Any()
    }
}
