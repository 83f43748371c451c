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
 * The copy is named after its hash, and compared with it before it is loaded.
 */
class ModelFile(private val context: Context) {
    /**
     * Return the copy of an artifact, made if it is not there.
     *
     * @throws CoreException the asset is not as it was published
     * @throws EngineException it cannot be copied
     */
    fun place(asset: String, bundle: Bundle): File = try {
        placed(asset, bundle)
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
        val file = File(directory, "${expected.sha256}.${name.substringAfterLast('.')}")
        if (file.isFile && file.inputStream().use { FileInfo.of(it) } == expected) return file
        directory.listFiles().orEmpty().filter { it.name.endsWith(PARTIAL) }.forEach { it.delete() }
        val partial = File(directory, "${file.name}$PARTIAL")
        val copied = FileOutputStream(partial).use { out ->
            context.assets.open(asset).use { FileInfo.of(it) { bytes, size -> out.write(bytes, 0, size) } }
        }
        if (copied != expected) {
            partial.delete()
            val message = "'$name' differs from its hash in the manifest"
            throw CoreException(ErrorKind.HASH_MISMATCH, message)
        }
        if (!partial.renameTo(file)) throw IOException("'${file.name}' cannot be put into place")
        return file
    }

    private companion object {
        const val PARTIAL = ".partial"
    }
}
