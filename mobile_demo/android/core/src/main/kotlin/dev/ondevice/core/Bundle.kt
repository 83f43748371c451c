package dev.ondevice.core

import java.io.File
import java.io.IOException
import java.io.InputStream
import java.nio.charset.CharacterCodingException

/** Where a bundle's files are: a directory, or an app's assets. */
interface BundleFiles {
    /** Open a file by its path in the bundle; null if there is none. */
    @Throws(IOException::class)
    fun open(path: String): InputStream?
}

/** A bundle in a directory; symbolic links are no part of it. */
class DirectoryFiles(private val directory: File) : BundleFiles {
    override fun open(path: String): InputStream? {
        val file = File(directory, path)
        if (!file.isFile || file.canonicalFile != File(directory.canonicalFile, path)) return null
        return file.inputStream()
    }
}

/** A bundle whose manifest fits the schema. */
class Bundle private constructor(private val files: BundleFiles, val manifest: Manifest) {
    /**
     * Compare files with their hashes in the manifest: all of them, or those that are named.
     *
     * @throws CoreException one is missing, or is not as it was published
     */
    fun verify(names: Collection<String> = manifest.files.keys) {
        listed(manifest.artifact.file)
        listed(manifest.tokenizer.file)
        for (name in names) {
            val expected = manifest.files[name] ?: throw missing(name)
            if (hash(name) != expected) {
                val message = "'$name' differs from its hash in the manifest"
                throw CoreException(ErrorKind.HASH_MISMATCH, message)
            }
        }
    }

    /** The files that an app reads: the artifact's, the vocabulary and the goldens. */
    fun neededFiles(): List<String> = manifest.files.keys.filter {
        it == manifest.tokenizer.file || it == GOLDENS || isOf(it, manifest.artifact.file)
    }

    /** @throws CoreException the vocabulary is missing or cannot be used */
    fun tokenizer(): WordPiece {
        val info = manifest.tokenizer
        if (info.kind != "wordpiece") {
            val message = "the bundle's tokenizer is ${info.kind}; this app knows wordpiece"
            throw CoreException(ErrorKind.NO_VOCABULARY, message)
        }
        val text = readListed(info.file, ErrorKind.BAD_VOCABULARY)
        return WordPiece(Vocabulary.of(text), info.lowercase, info.stripAccents)
    }

    /** @throws CoreException a line is not a record */
    fun goldens(): List<Golden> =
        GoldenReader.read(readListed(GOLDENS, ErrorKind.BAD_GOLDEN))

    /** Read a file of the manifest: what it does not list has no hash to compare. */
    private fun readListed(name: String, kind: ErrorKind): String {
        if (name !in manifest.files) throw missing(name)
        return readText(files, name, kind)
    }

    private fun listed(name: String) {
        if (manifest.files.keys.none { isOf(it, name) }) throw missing(name)
    }

    private fun isOf(file: String, name: String) = file == name || file.startsWith("$name/")

    private fun hash(name: String): FileInfo = try {
        val stream = files.open(name) ?: throw missing(name)
        stream.use { FileInfo.of(it) }
    } catch (error: IOException) {
        throw unreadable(name, error)
    }

    companion object {
        const val MANIFEST = "manifest.json"
        const val GOLDENS = "golden.jsonl"

        /**
         * Read a bundle's manifest; [verify] compares its files.
         *
         * @throws CoreException there is none, or it does not fit the schema
         */
        fun open(files: BundleFiles): Bundle =
            Bundle(files, Manifest.read(readText(files, MANIFEST, ErrorKind.BAD_MANIFEST)))

        private fun readText(files: BundleFiles, name: String, kind: ErrorKind): String = try {
            val stream = files.open(name) ?: throw missing(name)
            decodeUtf8(stream.use { it.readBytes() })
        } catch (error: CharacterCodingException) {
            throw CoreException(kind, "'$name' is not UTF-8", error)
        } catch (error: IOException) {
            throw unreadable(name, error)
        }

        private fun missing(name: String) =
            CoreException(ErrorKind.MISSING_FILE, "'$name' is missing from the bundle")

        private fun unreadable(name: String, error: IOException) =
            CoreException(ErrorKind.MISSING_FILE, "'$name' cannot be read: ${error.message}", error)
    }
}
