package dev.ondevice.core

import java.io.InputStream
import java.security.MessageDigest

/** A vocabulary of a few words, letters and pieces. */
internal val PIECES: List<String> = listOf("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]") +
    ('a'..'z').map { it.toString() } + ('a'..'z').map { "##$it" } +
    listOf("the", "river", "rome", "ada", "met", "in", ".", "?", "σ", "東", "##ing")

internal fun vocabularyText(): String = PIECES.joinToString("\n", postfix = "\n")

internal fun wordPiece(): WordPiece = WordPiece(Vocabulary.of(vocabularyText()))

internal fun WordPiece.pieces(text: String): List<String> =
    tokenize(CodePoints.of(text)).ids.map { PIECES[it] }

internal fun kindOf(block: () -> Unit): ErrorKind? = try {
    block()
    null
} catch (error: CoreException) {
    error.kind
}

internal fun sha256(bytes: ByteArray): String = MessageDigest.getInstance("SHA-256").digest(bytes)
    .joinToString("") { (it.toInt() and 0xFF).toString(16).padStart(2, '0') }

/** A bundle in memory. */
internal class MemoryFiles(val files: MutableMap<String, ByteArray>) : BundleFiles {
    override fun open(path: String): InputStream? = files[path]?.inputStream()
}

internal const val LENGTH = 32

/** A bundle with a model of three bytes and the goldens given. */
internal fun memoryBundle(goldens: String = ""): MemoryFiles {
    val files = mutableMapOf(
        "model.tflite" to byteArrayOf(1, 2, 3),
        "vocab.txt" to vocabularyText().toByteArray(),
        "golden.jsonl" to goldens.toByteArray(),
    )
    val listed = files.entries.joinToString(",") { (name, bytes) ->
        """"$name": {"sha256": "${sha256(bytes)}", "bytes": ${bytes.size}}"""
    }
    files["manifest.json"] = manifestText(files = "{$listed}").toByteArray()
    return MemoryFiles(files)
}

internal fun manifestText(
    version: String = "1",
    files: String = "{}",
    artifactFile: String = "model.tflite",
    extra: String = "",
): String {
    val hash = "\"" + "0".repeat(64) + "\""
    val input = """"dtype": "int32", "shape": [1, "L"]"""
    val output = """"dtype": "float32", "shape": [1, "L"]"""
    return """
        {"schema_version": $version,
         "model": {"name": "tiny", "source": "embedded:tiny", "architecture": "bert",
                   "sha256": $hash, "params": 12, "licence": "mit"},
         "task": "qa",
         "tokenizer": {"kind": "wordpiece", "file": "vocab.txt", "sha256": $hash,
                       "lowercase": true, "strip_accents": true, "pad_id": 0},
         "window": {"max_length": $LENGTH, "doc_stride": 4, "max_query": 8, "max_answer": 6,
                    "n_best": 3},
         "artifact": {"target": "tflite", "scheme": "fp32", "file": "$artifactFile",
                      "sha256": $hash, "bytes": 3,
                      "inputs": [{"name": "input_ids", "role": "input_ids", $input}],
                      "outputs": [{"name": "start", "role": "start", $output},
                                  {"name": "end", "role": "end", $output}],
                      "lengths": [$LENGTH], "min_runtime": {}, "varies": null},
         "parity": [{"runtime": "ai-edge-litert", "version": "2.3.0", "length": $LENGTH,
                     "max_abs": 2.1e-7, "limit": "1e-4", "status": "passed", "evidence": "host"}],
         "tools": {}, "created": "2026-01-01", "options": {}, "content_key": $hash,
         "files": $files $extra}
    """.trimIndent()
}

/** An engine whose logits are highest at one token. */
internal class FakeEngine(private val place: Int, private val high: Float = 5f) : Engine {
    override val info = EngineInfo("litert", "1.4.2", "xnnpack", 2)

    override fun run(inputs: ModelInputs): Map<String, FloatArray> {
        val logits = FloatArray(inputs.length) { if (it == place) high else -4f }
        return mapOf("start" to logits, "end" to logits)
    }

    override fun close() = Unit
}
