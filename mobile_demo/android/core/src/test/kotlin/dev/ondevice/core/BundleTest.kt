package dev.ondevice.core

import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertNull
import kotlin.test.assertTrue

class BundleTest {
    @Test
    fun readsPassages() {
        fun document(qas: String) =
            """{"data": [{"title": "T", "paragraphs": [{"context": "a b", "qas": [$qas]}]}]}"""
        val question = """{"id": "1", "question": "a?", "answers": []}"""
        assertEquals(
            listOf(Passage("T", "a b", listOf("a?", "a?"))),
            Passages.read(document("$question, $question")),
        )
        for (wrong in listOf("{", "{}", """{"data": []}""", document(""), document("1"))) {
            assertEquals(ErrorKind.BAD_PASSAGES, kindOf { Passages.read(wrong) }, wrong)
        }
    }

    @Test
    fun readsWhatIsPublished() {
        val bundle = Bundle.open(memoryBundle())
        bundle.verify()
        assertEquals("tiny", bundle.manifest.model.name)
        assertEquals(listOf(1, TensorInfo.LENGTH), bundle.manifest.artifact.inputs[0].shape)
        assertEquals(setOf("model.tflite", "vocab.txt", "golden.jsonl"), bundle.neededFiles().toSet())
    }

    @Test
    fun namesTheFileThatIsNotAsPublished() {
        val files = memoryBundle()
        val bundle = Bundle.open(files)
        files.files["model.tflite"] = byteArrayOf(1, 2, 4)
        val message = runCatching { bundle.verify() }.exceptionOrNull()?.message.orEmpty()
        assertTrue("model.tflite" in message, message)
        assertEquals(ErrorKind.HASH_MISMATCH, kindOf { bundle.verify() })
        files.files.remove("model.tflite")
        assertEquals(ErrorKind.MISSING_FILE, kindOf { bundle.verify() })
        assertEquals(ErrorKind.MISSING_FILE, kindOf { Bundle.open(MemoryFiles(mutableMapOf())) })
    }

    @Test
    fun readsOnlyWhatTheManifestLists() {
        for (name in listOf("vocab.txt", "golden.jsonl")) {
            val files = memoryBundle()
            val manifest = files.files.getValue("manifest.json").decodeToString()
            val renamed = manifest.replace("\"$name\": {\"sha256\"", "\"other\": {\"sha256\"")
            assertTrue(renamed != manifest)
            files.files["manifest.json"] = renamed.toByteArray()
            val bundle = Bundle.open(files)
            val read = if (name == "vocab.txt") bundle::tokenizer else bundle::goldens
            assertEquals(ErrorKind.MISSING_FILE, kindOf { read() }, name)
        }
    }

    @Test
    fun readsTheVocabularyThatTheManifestNames() {
        val files = memoryBundle()
        files.files["words.txt"] = files.files.remove("vocab.txt")!!
        val manifest = files.files.getValue("manifest.json").decodeToString()
        files.files["manifest.json"] = manifest.replace("vocab.txt", "words.txt").toByteArray()
        val bundle = Bundle.open(files)
        assertTrue("words.txt" in bundle.neededFiles())
        bundle.verify(bundle.neededFiles())
        bundle.tokenizer()
    }

    private fun read(text: String) = kindOf { Manifest.read(text) }

    @Test
    fun readsManifestsStrictly() {
        val good = manifestText()
        assertNull(read(good))
        assertEquals(ErrorKind.NEWER_SCHEMA, read(manifestText(version = "2")))
        for (version in listOf("0", "\"1\"", "1.0", "true", "null")) {
            assertEquals(ErrorKind.BAD_MANIFEST, read(manifestText(version = version)), version)
        }
        assertEquals(ErrorKind.BAD_MANIFEST, read(manifestText(extra = ", \"more\": 1")))
        assertEquals(ErrorKind.BAD_MANIFEST, read(good.replace("\"params\": 12", "\"params\": 1.5")))
        assertEquals(ErrorKind.BAD_MANIFEST, read(good.replace("\"params\": 12", "\"params\": 0")))
        assertEquals(ErrorKind.BAD_MANIFEST, read(good.replace("\"licence\": \"mit\"", "\"licence\": 1")))
        assertEquals(ErrorKind.BAD_MANIFEST, read(good.replace("[$LENGTH]", "[]")))
        assertEquals(ErrorKind.BAD_MANIFEST, read("not JSON"))
        assertEquals(ErrorKind.BAD_MANIFEST, read("[".repeat(100_000)))
    }

    @Test
    fun refusesPathsThatLeaveTheBundle() {
        for (path in listOf("../model", "/model", "a/../../b", "a\\\\b", "")) {
            assertEquals(ErrorKind.BAD_MANIFEST, read(manifestText(artifactFile = path)), path)
        }
    }

    @Test
    fun runsTheGoldensThatNeedNoModel() {
        val a = PIECES.indexOf("a")
        val good = """{"kind": "tokenize", "text": "😀a", "ids": [1, $a], """ +
            """"offsets": [[0, 1], [1, 2]], "utf16_offsets": [[0, 2], [2, 3]]}"""
        // The emoji is not in the vocabulary, and no white space parts it from the letter.
        val bad = """{"kind": "tokenize", "text": "a a", "ids": [$a, $a], """ +
            """"offsets": [[0, 1], [2, 3]], "utf16_offsets": [[0, 1], [2, 4]]}"""
        val bundle = Bundle.open(memoryBundle("$good\n$bad\n"))
        val report = GoldenCheck(bundle.tokenizer()).run(bundle.goldens())
        assertEquals(2, report.counts.getValue("tokenize").failed)
        assertTrue("😀a" in report.firstFailure.orEmpty())
    }

    @Test
    fun namesTheLineThatIsNoGolden() {
        val bundle = Bundle.open(memoryBundle("""{"kind": "tokenize", "text": "a"}"""))
        val error = runCatching { bundle.goldens() }.exceptionOrNull() as CoreException
        assertEquals(ErrorKind.BAD_GOLDEN, error.kind)
        assertTrue("line 1" in error.message, error.message)
    }

    private fun check(outputs: String, limits: String): CheckReport {
        val ones = List(LENGTH) { 1 }.joinToString(",")
        val golden = """{"kind": "run", "length": $LENGTH, "valid": 3, """ +
            """"inputs": {"input_ids": [$ones]}, "outputs": {"start": [$outputs]}, $limits}"""
        val bundle = Bundle.open(memoryBundle(golden))
        val engine = FakeEngine(1)
        val answering = QuestionAnswering(bundle.manifest, bundle.tokenizer(), engine)
        return ModelCheck(bundle.tokenizer(), engine, answering).run(bundle.goldens())
    }

    @Test
    fun comparesTheModelsOutputs() {
        val limits = """"max_abs": 0.1, "min_cosine": null"""
        assertNull(check("[-4, 5.05, -4]", limits).failure)
        assertTrue("more than 0.1" in check("[-4, 5.5, -4]", limits).failure.orEmpty())
        val cosine = """"max_abs": null, "min_cosine": 0.999"""
        assertNull(check("[-8, 10, -8]", cosine).failure)
        assertTrue("cosine" in check("[4, -5, 4]", cosine).failure.orEmpty())
        val long = List(LENGTH + 1) { "1" }.joinToString(",", "[", "]")
        assertNull(check(long, limits).maxAbs)
    }
}
