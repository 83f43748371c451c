package dev.ondevice.core

/** Reads `manifest.json`; what the apps do not use is checked all the same. */
internal object ManifestReader {
    private val KIND = ErrorKind.BAD_MANIFEST
    private val SHA256 = Regex("[0-9a-f]{64}")
    private val TOKENIZERS = setOf("wordpiece", "bpe")
    private val DTYPES = setOf("int32", "float32")
    private val STATUSES = setOf("passed", "failed", "not_run")
    private val EVIDENCE = setOf("host", "reference", "not run")

    fun read(text: String): Manifest {
        val fields = JsonFields(parseJson(text, "the manifest", KIND), "", KIND)
        val version = fields.long("schema_version", least = 1)
        if (version > Manifest.SCHEMA_VERSION) {
            throw CoreException(
                ErrorKind.NEWER_SCHEMA,
                "the manifest's schema is version $version; " +
                    "this app knows version ${Manifest.SCHEMA_VERSION}",
            )
        }
        val manifest = Manifest(
            model = model(fields.fields("model")),
            task = fields.string("task"),
            tokenizer = tokenizer(fields.fields("tokenizer")),
            window = window(fields.fields("window")),
            artifact = artifact(fields.fields("artifact")),
            created = fields.string("created"),
            contentKey = fields.sha256("content_key"),
            files = fields.map("files") { file(fields(it)) },
        )
        fields.objects("parity").forEach { checkParity(it) }
        fields.objects("checks", optional = true).forEach { checkCheck(it) }
        fields.map("tools") { string(it) }
        fields.map("options") { string(it) }
        fields.end()
        val names = manifest.files.keys + manifest.artifact.file + manifest.tokenizer.file
        names.firstOrNull { leavesBundle(it) }?.let {
            throw CoreException(KIND, "the manifest names a path outside the bundle: '$it'")
        }
        return manifest
    }

    fun window(fields: JsonFields): WindowInfo = WindowInfo(
        maxLength = fields.int("max_length", least = 1),
        docStride = fields.int("doc_stride", least = 0),
        maxQuery = fields.int("max_query", least = 0),
        maxAnswer = fields.int("max_answer", least = 0),
        nBest = fields.int("n_best", least = 0),
    ).also { fields.end() }

    private fun model(fields: JsonFields) = ModelInfo(
        name = fields.string("name"),
        source = fields.string("source"),
        architecture = fields.string("architecture"),
        sha256 = fields.sha256("sha256"),
        params = fields.long("params", least = 1),
        licence = fields.string("licence"),
        labels = fields.strings("labels", optional = true),
    ).also { fields.end() }

    private fun tokenizer(fields: JsonFields) = TokenizerInfo(
        kind = fields.word("kind", TOKENIZERS),
        file = fields.string("file"),
        sha256 = fields.sha256("sha256"),
        lowercase = fields.boolean("lowercase"),
        stripAccents = fields.boolean("strip_accents"),
        padId = fields.int("pad_id", least = 0),
    ).also { fields.end() }

    private fun artifact(fields: JsonFields) = ArtifactInfo(
        target = fields.string("target"),
        scheme = fields.string("scheme"),
        file = fields.string("file"),
        sha256 = fields.sha256("sha256"),
        bytes = fields.long("bytes", least = 1),
        inputs = fields.objects("inputs").map { tensor(it) },
        outputs = fields.objects("outputs").map { tensor(it) },
        lengths = fields.ints("lengths", least = 1).toList(),
        minRuntime = fields.map("min_runtime") { string(it) },
    ).also {
        if (it.lengths.isEmpty()) fields.fail("lengths", "one length at least")
        fields.stringOrNull("varies")
        fields.end()
    }

    private fun tensor(fields: JsonFields) = TensorInfo(
        name = fields.string("name"),
        role = fields.string("role"),
        dtype = fields.word("dtype", DTYPES),
        shape = fields.array("shape").map { size ->
            val whole = (size as? JsonNumber)?.whole
            when {
                size == JsonString("L") -> TensorInfo.LENGTH
                whole != null && whole in 0..Int.MAX_VALUE -> whole.toInt()
                else -> fields.fail("shape", "sizes, or L")
            }
        },
    ).also { fields.end() }

    private fun file(fields: JsonFields) =
        FileInfo(fields.sha256("sha256"), fields.long("bytes", least = 0)).also { fields.end() }

    private fun checkParity(fields: JsonFields) {
        fields.string("runtime")
        fields.string("version")
        fields.int("length", least = 1)
        fields.doubleOrNull("max_abs")
        fields.doubleOrNull("cosine")
        fields.string("limit")
        checkOutcome(fields)
    }

    private fun checkCheck(fields: JsonFields) {
        fields.string("check")
        fields.string("runtime")
        fields.string("version")
        fields.intOrNull("length", least = Int.MIN_VALUE)
        fields.string("figure", default = "")
        fields.string("limit", default = "")
        checkOutcome(fields)
    }

    private fun checkOutcome(fields: JsonFields) {
        fields.word("status", STATUSES)
        fields.word("evidence", EVIDENCE)
        fields.string("reason", default = "")
        fields.end()
    }

    private fun JsonFields.sha256(name: String): String {
        val text = string(name)
        return if (SHA256.matches(text)) text else fail(name, "64 hexadecimal digits")
    }

    private fun JsonFields.word(name: String, words: Set<String>): String {
        val text = string(name)
        return if (text in words) text else fail(name, "one of ${words.joinToString()}")
    }

    private fun leavesBundle(path: String): Boolean {
        val parts = path.split('/')
        return path.isEmpty() || path.startsWith('/') || ".." in parts || '\\' in path ||
            '\u0000' in path || parts.all { it.isEmpty() || it == "." }
    }
}
