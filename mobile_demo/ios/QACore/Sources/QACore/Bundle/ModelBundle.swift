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
        for name in manifest.files.keys.sorted() + [manifest.artifact.file, manifest.tokenizer.file]
        where !Self.staysInside(name) {
            throw QAError(
                .badManifest, "the manifest names a path outside the bundle: '\(name)'")
        }
    }

    /// Compare every file with its hash: none may be missing, altered or extra.
    public func verify() throws(QAError) {
        let present = try listFiles()
        for name in manifest.files.keys.sorted() {
            try verify(name)
        }
        if let extra = present.sorted().first(where: { manifest.files[$0] == nil }) {
            throw QAError(.hashMismatch, "'\(extra)' is in the bundle but not in its manifest")
        }
    }

    /// Compare one file with its hash.
    public func verify(_ name: String) throws(QAError) {
        guard let expected = manifest.files[name] else {
            throw QAError(.hashMismatch, "'\(name)' is in the bundle but not in its manifest")
        }
        let path = directory.appendingPathComponent(name).path
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory),
            !isDirectory.boolValue
        else { throw QAError(.missingFile, "'\(name)' is missing from the bundle") }
        guard let found = FileHash.sha256(of: path) else {
            throw QAError(.missingFile, "'\(name)' in the bundle cannot be read")
        }
        guard found.digest == expected.sha256, found.bytes == expected.bytes else {
            throw QAError(.hashMismatch, "'\(name)' differs from its hash in the manifest")
        }
    }

    /// The bundle's tokenizer.
    public func tokenizer() throws(QAError) -> WordPieceTokenizer {
        guard manifest.tokenizer.kind == "wordpiece" else {
            throw QAError(
                .badVocabulary,
                "the bundle's tokenizer is \(manifest.tokenizer.kind); this app reads wordpiece")
        }
        return WordPieceTokenizer(
            vocabulary: try Vocabulary(utf8: read(manifest.tokenizer.file)),
            lowercase: manifest.tokenizer.lowercase,
            stripAccents: manifest.tokenizer.stripAccents)
    }

    /// A file's bytes.
    public func read(_ name: String) throws(QAError) -> [UInt8] {
        try Self.read(name, in: directory)
    }

    private static func read(_ name: String, in directory: URL) throws(QAError) -> [UInt8] {
        guard let data = FileManager.default.contents(
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

    /// Paths of all files but the manifest; symbolic links are refused.
    private func listFiles() throws(QAError) -> [String] {
        var files: [String] = []
        var waiting = [""]
        while let parent = waiting.popLast() {
            let place = directory.appendingPathComponent(parent).path
            let names = (try? FileManager.default.contentsOfDirectory(atPath: place)) ?? []
            for name in names {
                let relative = parent.isEmpty ? name : "\(parent)/\(name)"
                let path = directory.appendingPathComponent(relative).path
                let attributes = try? FileManager.default.attributesOfItem(atPath: path)
                switch attributes?[.type] as? FileAttributeType {
                case .typeDirectory?: waiting.append(relative)
                case .typeSymbolicLink?:
                    throw QAError(.hashMismatch, "'\(relative)' in the bundle is a symbolic link")
                default: if relative != Self.manifestFile { files.append(relative) }
                }
            }
        }
        return files
    }
}
