/// What a bundle says about itself; the types of `ondevice/manifest.py`.
public struct Manifest: Sendable, Equatable {
    /// The schema that this version reads.
    public static let schemaVersion = 1

    public let model: ModelInfo
    public let task: String
    public let tokenizer: TokenizerInfo
    public let window: WindowInfo
    public let artifact: ArtifactInfo
    public let parity: [ParityInfo]
    public let tools: [String: String]
    public let created: String
    public let options: [String: String]
    public let contentKey: String
    public let files: [String: FileInfo]
    public let checks: [CheckInfo]
}

/// The checkpoint that the artifact was made from.
public struct ModelInfo: Sendable, Equatable {
    public let name: String
    public let source: String
    public let architecture: String
    public let sha256: String
    public let params: Int
    public let licence: String
    public let labels: [String]
}

/// How text becomes ids.
public struct TokenizerInfo: Sendable, Equatable {
    /// wordpiece or bpe.
    public let kind: String
    public let file: String
    public let sha256: String
    public let lowercase: Bool
    public let stripAccents: Bool
    public let padID: Int
}

/// How a long context is cut, and how spans are chosen; zeros for other tasks.
public struct WindowInfo: Sendable, Equatable {
    public let maxLength: Int
    public let docStride: Int
    public let maxQuery: Int
    public let maxAnswer: Int
    public let nBest: Int
}

/// The model file and what it needs.
public struct ArtifactInfo: Sendable, Equatable {
    public let target: String
    public let scheme: String
    public let file: String
    public let sha256: String
    public let bytes: Int
    public let inputs: [TensorInfo]
    public let outputs: [TensorInfo]
    public let lengths: [Int]
    public let minRuntime: [String: String]
    public let varies: String?
}

/// One input or output. `role` is what an output means; for inputs it is the name.
public struct TensorInfo: Sendable, Equatable {
    public let name: String
    public let role: String
    /// int32 or float32.
    public let dtype: String
    /// Nil is the sequence length.
    public let shape: [Int?]
}

/// The artifact against its checkpoint, at one length.
public struct ParityInfo: Sendable, Equatable {
    public let runtime: String
    public let version: String
    public let length: Int
    public let maxAbs: Double?
    public let cosine: Double?
    public let limit: String
    public let status: String
    public let evidence: String
    public let reason: String
}

/// What `ondevice verify` found.
public struct CheckInfo: Sendable, Equatable {
    public let check: String
    public let runtime: String
    public let version: String
    public let length: Int?
    public let figure: String
    public let limit: String
    public let status: String
    public let evidence: String
    public let reason: String
}

/// A file of the bundle.
public struct FileInfo: Sendable, Equatable {
    public let sha256: String
    public let bytes: Int
}
