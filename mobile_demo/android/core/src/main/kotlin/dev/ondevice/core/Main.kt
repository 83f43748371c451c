package dev.ondevice.core

import java.io.BufferedInputStream
import java.io.File
import java.io.IOException
import java.io.InputStream
import java.io.OutputStream
import java.nio.ByteBuffer
import java.nio.charset.CharacterCodingException
import kotlin.system.exitProcess

private const val USAGE = "usage: qacore serve [--vocab FILE] [--cased] [--keep-accents]"
private const val BAD_USAGE = 2

/** The command-line tool `qacore`; mobile_demo/contract/qacore.md has its protocol. */
fun main(arguments: Array<String>) {
    var vocab: String? = null
    val flags = HashSet<String>()
    var i = 1
    while (i < arguments.size) {
        when (val argument = arguments[i++]) {
            "--vocab" -> vocab = arguments.getOrNull(i++) ?: stop()
            "--cased", "--keep-accents" -> flags.add(argument)
            else -> stop()
        }
    }
    if (arguments.firstOrNull() != "serve") stop()
    val service = Service {
        val file = vocab
            ?: throw CoreException(ErrorKind.NO_VOCABULARY, "the request needs --vocab FILE")
        WordPiece(readVocabulary(file), "--cased" !in flags, "--keep-accents" !in flags)
    }
    serve(service, BufferedInputStream(System.`in`, 1 shl 16), System.out)
}

private fun stop(): Nothing {
    System.err.println(USAGE)
    exitProcess(BAD_USAGE)
}

private fun readVocabulary(file: String): Vocabulary {
    val text = try {
        decodeUtf8(File(file).readBytes())
    } catch (error: CharacterCodingException) {
        throw CoreException(ErrorKind.BAD_VOCABULARY, "'$file' is not UTF-8", error)
    } catch (error: IOException) {
        throw CoreException(ErrorKind.NO_VOCABULARY, "'$file' cannot be read", error)
    }
    return Vocabulary.of(text)
}

/** Decode UTF-8 and refuse what is not. */
@Throws(CharacterCodingException::class)
internal fun decodeUtf8(bytes: ByteArray, size: Int = bytes.size): String =
    Charsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes, 0, size)).toString()

private fun serve(service: Service, input: InputStream, output: OutputStream) {
    val lines = Lines(input)
    while (true) {
        val answer = try {
            service.answer(decodeUtf8(lines.next() ?: return))
        } catch (_: CharacterCodingException) {
            Service.error(CoreException(ErrorKind.BAD_REQUEST, "the line is not UTF-8"))
        }
        output.write(answer.toByteArray())
        output.write('\n'.code)
        output.flush()
    }
}

/** Lines that end with a line feed and nothing else, unlike those of `readLine`. */
private class Lines(private val input: InputStream) {
    private var buffer = ByteArray(1 shl 16)

    fun next(): ByteArray? {
        var size = 0
        while (true) {
            val byte = input.read()
            if (byte < 0 && size == 0) return null
            if (byte < 0 || byte == '\n'.code) return buffer.copyOf(size)
            if (size == buffer.size) buffer = buffer.copyOf(2 * size)
            buffer[size++] = byte.toByte()
        }
    }
}
