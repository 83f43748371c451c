package android.content.res

import java.io.FileNotFoundException
import java.io.InputStream

class AssetManager(private val files: Map<String, ByteArray>) {
    fun open(path: String, mode: Int = ACCESS_STREAMING): InputStream {
        check(mode == ACCESS_STREAMING)
        return files[path]?.inputStream() ?: throw FileNotFoundException(path)
    }

    fun list(path: String): Array<String>? = files.keys.filter { it.startsWith("$path/") }
        .map { it.removePrefix("$path/").substringBefore('/') }.distinct().toTypedArray()

    companion object {
        const val ACCESS_STREAMING = 2
    }
}
