/// What went wrong, in the words of `mobile_demo/contract/qacore.md`.
public struct QAError: Error, Equatable, Sendable, CustomStringConvertible {
    public enum Kind: String, Sendable, CaseIterable {
        case badRequest = "bad_request"
        case noVocabulary = "no_vocabulary"
        case badVocabulary = "bad_vocabulary"
        case emptyQuestion = "empty_question"
        case emptyContext = "empty_context"
        case notFinite = "not_finite"
        case badManifest = "bad_manifest"
        case newerSchema = "newer_schema"
        case missingFile = "missing_file"
        case hashMismatch = "hash_mismatch"
        case badGolden = "bad_golden"
        /// Only in apps: the passages cannot be read.
        case badPassages = "bad_passages"
    }

    public let kind: Kind
    /// One sentence for the user.
    public let message: String

    public init(_ kind: Kind, _ message: String) {
        self.kind = kind
        self.message = message
    }

    public var description: String { message }
}
