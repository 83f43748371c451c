package dev.ondevice.core

import java.io.IOException
import java.io.InputStream
import java.security.MessageDigest

/** What a bundle says about itself; the same fields as `ondevice/manifest.py`. */
data class Manifest(
    val model: ModelInfo,
    val task: String,
    val tokenizer: TokenizerInfo,
    val window: WindowInfo,
    val artifact: ArtifactInfo,
    val created: String,
    val contentKey: String,
    val files: Map<String, FileInfo>,
) {
    companion object {
        const val SCHEMA_VERSION = 1L

        /**
         * Read a manifest strictly: an unknown key, a wrong type or a missing field is an error.
         *
         * @throws CoreException it does not fit the schema, or is of a newer one
         */
        fun read(text: String): Manifest = ManifestReader.read(text)
    }
}

/** The checkpoint that the artifact was made from. */
data class ModelInfo(
    val name: String,
    val source: String,
    val architecture: String,
    val sha256: String,
    val params: Long,
    val licence: String,
    val labels: List<String>,
)

/** How text becomes ids. */
data class TokenizerInfo(
    val kind: String,
    val file: String,
    val sha256: String,
    val lowercase: Boolean,
    val stripAccents: Boolean,
    val padId: Int,
)

/** How a long context is cut, and how spans are chosen. All in tokens but `nBest`. */
data class WindowInfo(
    val maxLength: Int,
    val docStride: Int,
    val maxQuery: Int,
    val maxAnswer: Int,
    val nBest: Int,
) {
    /** @throws CoreException they leave no room for the context */
    fun options(): QAOptions = QAOptions(maxLength, docStride, maxQuery, maxAnswer, nBest)
}

/** One input or output; of its shape, the sequence length L is [LENGTH]. */
data class TensorInfo(
    val name: String,
    val role: String,
    val dtype: String,
    val shape: List<Int>,
) {
    companion object {
        const val LENGTH = -1
    }
}

/** The model file and what it needs. */
data class ArtifactInfo(
    val target: String,
    val scheme: String,
    val file: String,
    val sha256: String,
    val bytes: Long,
    val inputs: List<TensorInfo>,
    val outputs: List<TensorInfo>,
    val lengths: List<Int>,
    val minRuntime: Map<String, String>,
)

/** A file of the bundle. */
data class FileInfo(val sha256: String, val bytes: Long) {
    companion object {
        private const val BUFFER = 1 shl 16

        /** Read a stream to its end. */
        @Throws(IOException::class)
        fun of(stream: InputStream): FileInfo {
            val digest = MessageDigest.getInstance("SHA-256")
            val buffer = ByteArray(BUFFER)
            var bytes = 0L
            while (true) {
                val size = stream.read(buffer)
                if (size < 0) return FileInfo(hexadecimal(digest.digest()), bytes)
                digest.update(buffer, 0, size)
                bytes += size
            }
        }

        private fun hexadecimal(bytes: ByteArray): String =
            bytes.joinToString("") { (it.toInt() and 0xFF).toString(16).padStart(2, '0') }
    }
}
