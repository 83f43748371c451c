import Foundation

/// A directory with an artifact and all that it needs; see `ondevice/bundle.py`.
public struct ModelBundle: Sendable {
    public static let manifestFile = "manifest.json"
    public static let goldenFile = "golden.jsonl"

    public let directory: URL
    public let manifest: Manifest

    /// Read the manifest; nothing else is looked at yet.
    public init(directory: URL) throws(QAError) {
        self.directory = directory
        let bytes = try Self.read(Self.manifestFile, in: directory)
        manifest = try Manifest(json: bytes)
        for name in manifest.files.keys.sorted() + [
            manifest.artifact.file, manifest.tokenizer.file,
        ]
        where !Self.staysInside(name) {
            throw QAError(
                .badManifest, "the manifest names a path outside the bundle: '\(name)'")
        }
    }

    /// The files that an app reads: the artifact's, the vocabulary and the goldens.
    public var neededFiles: [String] {
        let exact = [manifest.tokenizer.file, Self.goldenFile, manifest.artifact.file]
        let inside = manifest.artifact.file + "/"
        return manifest.files.keys.filter { exact.contains($0) || $0.hasPrefix(inside) }.sorted()
    }

    /// Compare files with their hashes: all that the manifest lists, or those that are named.
    ///
    /// A directory as artifact must hold nothing else: its reader might take that up.
    public func verify(_ names: [String]? = nil) throws(QAError) {
        let artifact = manifest.artifact.file
        for name in [artifact, manifest.tokenizer.file]
        where !manifest.files.keys.contains(where: { $0 == name || $0.hasPrefix(name + "/") }) {
            throw QAError(.missingFile, "'\(name)' is not among the files of the manifest")
        }
        for name in names ?? manifest.files.keys.sorted() { try verify(name) }
        let inside = FileManager.default.subpaths(
            atPath: directory.appendingPathComponent(artifact).path)
        for name in (inside ?? []).sorted().map({ "\(artifact)/\($0)" })
        where manifest.files[name] == nil && Self.type(of: name, in: directory) != .typeDirectory {
            throw QAError(.hashMismatch, "'\(name)' is in the bundle but not in its manifest")
        }
    }

    private func verify(_ name: String) throws(QAError) {
        guard let expected = manifest.files[name], Self.isFile(name, in: directory) else {
            throw QAError(.missingFile, "'\(name)' is missing from the bundle")
        }
        guard let found = FileHash.sha256(of: directory.appendingPathComponent(name).path) else {
            throw QAError(.missingFile, "'\(name)' in the bundle cannot be read")
        }
        guard found.digest == expected.sha256, found.bytes == expected.bytes else {
            throw QAError(.hashMismatch, "'\(name)' differs from its hash in the manifest")
        }
    }

    /// Of a link the type is its own, so links are as good as missing; so are those in between.
    private static func isFile(_ name: String, in directory: URL) -> Bool {
        let parts = name.split(separator: "/")
        let steps = parts.indices.map { parts[...$0].joined(separator: "/") }
        return type(of: name, in: directory) == .typeRegular
            && steps.dropLast().allSatisfy { type(of: $0, in: directory) == .typeDirectory }
    }

    private static func type(of name: String, in directory: URL) -> FileAttributeType? {
        let path = directory.appendingPathComponent(name).path
        let attributes = try? FileManager.default.attributesOfItem(atPath: path)
        return attributes?[.type] as? FileAttributeType
    }

    /// The bundle's tokenizer.
    public func tokenizer() throws(QAError) -> WordPieceTokenizer {
        guard manifest.tokenizer.kind == "wordpiece" else {
            throw QAError(
                .noVocabulary,
                "the bundle's tokenizer is \(manifest.tokenizer.kind); this app reads wordpiece")
        }
        return WordPieceTokenizer(
            vocabulary: try Vocabulary(utf8: read(manifest.tokenizer.file)),
            lowercase: manifest.tokenizer.lowercase,
            stripAccents: manifest.tokenizer.stripAccents)
    }

    /// The bytes of the manifest or of a file that it lists: no other has a hash to compare.
    public func read(_ name: String) throws(QAError) -> [UInt8] {
        guard name == Self.manifestFile || manifest.files[name] != nil else {
            throw QAError(.missingFile, "'\(name)' is not among the files of the manifest")
        }
        return try Self.read(name, in: directory)
    }

    private static func read(_ name: String, in directory: URL) throws(QAError) -> [UInt8] {
        guard isFile(name, in: directory),
            let data = FileManager.default.contents(
                atPath: directory.appendingPathComponent(name).path)
        else {
            throw QAError(
                .missingFile, "'\(directory.lastPathComponent)' has no \(name) that can be read")
        }
        return [UInt8](data)
    }

    /// A relative path without a step upwards.
    static func staysInside(_ name: String) -> Bool {
        let parts = name.split(separator: "/")
        return !parts.isEmpty && !name.hasPrefix("/") && !parts.contains("..")
            && !name.contains("\\") && !name.utf8.contains(0)
    }
}
