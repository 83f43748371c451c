extension Manifest {
    /// Read `manifest.json` strictly: an unknown field, a wrong type or a missing field is an error.
    public init(json bytes: [UInt8]) throws(QAError) {
        let document: JSONValue
        do throws(JSONSyntaxError) {
            document = try JSONReader.parse(bytes)
        } catch {
            throw QAError(
                .badManifest, "the manifest is not JSON: \(error.message) (byte \(error.byte))")
        }
        let fields = try Fields(document, at: "", kind: .badManifest)
        // First of all: a newer schema may have fields that this one does not know.
        let version = try fields.integer("schema_version")
        guard version <= Self.schemaVersion else {
            throw QAError(
                .newerSchema,
                "the manifest has schema version \(version), this app reads \(Self.schemaVersion)")
        }
        guard version == Self.schemaVersion else {
            throw QAError(.badManifest, "'schema_version' is \(version), not \(Self.schemaVersion)")
        }
        try fields.only([
            "schema_version", "model", "task", "tokenizer", "window", "artifact", "parity", "tools",
            "created", "options", "content_key", "files", "checks",
        ])
        model = try ModelInfo(fields.fields("model"))
        task = try fields.string("task")
        tokenizer = try TokenizerInfo(fields.fields("tokenizer"))
        window = try WindowInfo(fields.fields("window"))
        artifact = try ArtifactInfo(fields.fields("artifact"))
        parity = try fields.list("parity", ParityInfo.init)
        tools = try fields.texts("tools")
        created = try fields.string("created")
        options = try fields.texts("options")
        contentKey = try fields.sha256("content_key")
        files = try fields.dictionary("files") { (inner, name) throws(QAError) in
            try FileInfo(inner.fields(name))
        }
        checks = fields.has("checks") ? try fields.list("checks", CheckInfo.init) : []
    }
}

extension Fields {
    fileprivate func texts(_ name: String) throws(QAError) -> [String: String] {
        try dictionary(name) { (inner, key) throws(QAError) in try inner.string(key) }
    }

    /// Absent or null, else what `read` gives.
    fileprivate func optional<Item>(
        _ name: String, _ read: (String) throws(QAError) -> Item
    ) throws(QAError) -> Item? {
        guard has(name), try value(name) != .null else { return nil }
        return try read(name)
    }

    fileprivate func text(_ name: String, default absent: String) throws(QAError) -> String {
        has(name) ? try string(name) : absent
    }

    fileprivate func status() throws(QAError) -> String {
        try word("status", of: ["passed", "failed", "not_run"])
    }

    fileprivate func evidence() throws(QAError) -> String {
        try word("evidence", of: ["host", "reference", "not run"])
    }
}

extension ModelInfo {
    init(_ fields: Fields) throws(QAError) {
        try fields.only([
            "name", "source", "architecture", "sha256", "params", "licence", "labels",
        ])
        name = try fields.string("name")
        source = try fields.string("source")
        architecture = try fields.string("architecture")
        sha256 = try fields.sha256("sha256")
        params = try fields.integer("params", atLeast: 1)
        licence = try fields.string("licence")
        labels = fields.has("labels") ? try fields.strings("labels") : []
    }
}

extension TokenizerInfo {
    init(_ fields: Fields) throws(QAError) {
        try fields.only(["kind", "file", "sha256", "lowercase", "strip_accents", "pad_id"])
        kind = try fields.word("kind", of: ["wordpiece", "bpe"])
        file = try fields.string("file")
        sha256 = try fields.sha256("sha256")
        lowercase = try fields.bool("lowercase")
        stripAccents = try fields.bool("strip_accents")
        padID = try fields.integer("pad_id", atLeast: 0)
    }
}

extension WindowInfo {
    package init(_ fields: Fields) throws(QAError) {
        try fields.only(["max_length", "doc_stride", "max_query", "max_answer", "n_best"])
        // Room to add and subtract; the Kotlin core's integers end here.
        let most = Int(Int32.max)
        maxLength = try fields.integer("max_length", atLeast: 1, atMost: most)
        docStride = try fields.integer("doc_stride", atLeast: 0, atMost: most)
        maxQuery = try fields.integer("max_query", atLeast: 0, atMost: most)
        maxAnswer = try fields.integer("max_answer", atLeast: 0, atMost: most)
        nBest = try fields.integer("n_best", atLeast: 0, atMost: most)
    }
}

extension ArtifactInfo {
    init(_ fields: Fields) throws(QAError) {
        try fields.only([
            "target", "scheme", "file", "sha256", "bytes", "inputs", "outputs", "lengths",
            "min_runtime", "varies",
        ])
        target = try fields.string("target")
        scheme = try fields.string("scheme")
        file = try fields.string("file")
        sha256 = try fields.sha256("sha256")
        bytes = try fields.integer("bytes", atLeast: 1)
        inputs = try fields.list("inputs", TensorInfo.init)
        outputs = try fields.list("outputs", TensorInfo.init)
        lengths = try fields.integers("lengths", atLeast: 1)
        guard !lengths.isEmpty else {
            throw QAError(.badManifest, "'artifact.lengths' is empty")
        }
        minRuntime = try fields.texts("min_runtime")
        varies = try fields.optional("varies", fields.string)
    }
}

extension TensorInfo {
    init(_ fields: Fields) throws(QAError) {
        try fields.only(["name", "role", "dtype", "shape"])
        name = try fields.string("name")
        role = try fields.string("role")
        dtype = try fields.word("dtype", of: ["int32", "float32"])
        var sizes: [Int?] = []
        for (number, value) in try fields.array("shape").enumerated() {
            switch value {
            case .integer(let size): sizes.append(size)
            case .string(CodePoints("L")): sizes.append(nil)
            default: throw fields.wrong("shape.\(number)", value, "a whole number or \"L\"")
            }
        }
        shape = sizes
    }
}

extension ParityInfo {
    init(_ fields: Fields) throws(QAError) {
        try fields.only([
            "runtime", "version", "length", "max_abs", "cosine", "limit", "status", "evidence",
            "reason",
        ])
        runtime = try fields.string("runtime")
        version = try fields.string("version")
        length = try fields.integer("length", atLeast: 1)
        maxAbs = try fields.optional("max_abs", fields.number)
        cosine = try fields.optional("cosine", fields.number)
        limit = try fields.string("limit")
        status = try fields.status()
        evidence = try fields.evidence()
        reason = try fields.text("reason", default: "")
    }
}

extension CheckInfo {
    init(_ fields: Fields) throws(QAError) {
        try fields.only([
            "check", "runtime", "version", "length", "figure", "limit", "status", "evidence",
            "reason",
        ])
        check = try fields.string("check")
        runtime = try fields.string("runtime")
        version = try fields.string("version")
        length = try fields.optional("length") { (name) throws(QAError) in
            try fields.integer(name)
        }
        figure = try fields.text("figure", default: "")
        limit = try fields.text("limit", default: "")
        status = try fields.status()
        evidence = try fields.evidence()
        reason = try fields.text("reason", default: "")
    }
}

extension FileInfo {
    init(_ fields: Fields) throws(QAError) {
        try fields.only(["sha256", "bytes"])
        sha256 = try fields.sha256("sha256")
        bytes = try fields.integer("bytes", atLeast: 0)
    }
}
