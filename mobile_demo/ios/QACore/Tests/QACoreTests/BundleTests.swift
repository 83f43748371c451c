import XCTest

@testable import QACore

final class BundleTests: XCTestCase {
    private func manifest(_ change: (String) -> String) throws -> Manifest {
        let text = String(decoding: try Samples.bundle().read("manifest.json"), as: UTF8.self)
        return try Manifest(json: Array(change(text).utf8))
    }

    func testReadsAManifest() throws {
        let found = try manifest { $0 }
        XCTAssertEqual(found.task, "qa")
        XCTAssertEqual(found.artifact.lengths, [16, 32])
        XCTAssertEqual(found.artifact.inputs[0].shape, [1, nil])
        XCTAssertEqual(found.window.maxAnswer, 8)
        XCTAssertEqual(found.files.count, 3)
    }

    func testAManifestIsReadStrictly() throws {
        let changes: [(String, String)] = [
            ("\"task\"", "\"tusk\""),
            ("\"lowercase\": true", "\"lowercase\": 1"),
            ("\"max_length\": 32", "\"max_length\": 32.0"),
            ("\"max_length\": 32", "\"max_length\": 0"),
            ("\"max_length\": 32", "\"max_length\": 2147483648"),
            ("\"params\": 1", "\"params\": true"),
            ("\"pad_id\": 0", "\"pad_id\": 0, \"more\": 0"),
            ("\"kind\": \"wordpiece\"", "\"kind\": \"unigram\""),
            ("\"dtype\": \"int32\"", "\"dtype\": \"int64\""),
            ("\"L\"", "\"N\""),
            ("\"schema_version\": 1", "\"schema_version\": 0"),
            ("\"schema_version\": 1", "\"schema_version\": \"1\""),
            (String(repeating: "0", count: 64), String(repeating: "0", count: 63)),
        ]
        for (old, new) in changes {
            assertThrows(.badManifest) {
                _ = try manifest { $0.replacingOccurrences(of: old, with: new) }
            }
        }
        assertThrows(.badManifest) { _ = try Manifest(json: Array("[1".utf8)) }
        assertThrows(.badManifest) { _ = try Manifest(json: Array("[]".utf8)) }
    }

    func testANewerSchemaIsToldApart() {
        assertThrows(.newerSchema) {
            _ = try Manifest(json: Array("{\"schema_version\": 2, \"news\": 1}".utf8))
        }
    }

    func testVerifiesTheSample() throws {
        let bundle = try Samples.bundle()
        XCTAssertNoThrow(try bundle.verify())
        XCTAssertEqual(bundle.neededFiles, ["golden.jsonl", "model.bin", "vocab.txt"])
    }

    func testNamesAFileThatIsMissingOrAltered() throws {
        let place = try Samples.copy(for: self)
        let model = place.appendingPathComponent("model.bin")
        try Data("two formulaz\n".utf8).write(to: model)
        let message = assertThrows(.hashMismatch) { try ModelBundle(directory: place).verify() }
        XCTAssertTrue(message.contains("model.bin"), message)
        XCTAssertNoThrow(try ModelBundle(directory: place).verify(["vocab.txt"]))
        try FileManager.default.removeItem(at: model)
        assertThrows(.missingFile) { try ModelBundle(directory: place).verify() }
        try FileManager.default.createSymbolicLink(
            at: model,
            withDestinationURL: Samples.bundleDirectory.appendingPathComponent("model.bin"))
        assertThrows(.missingFile) { try ModelBundle(directory: place).verify() }
    }

    func testALinkIsNotRead() throws {
        for name in ["golden.jsonl", "vocab.txt", "manifest.json"] {
            let place = try Samples.copy(for: self)
            try FileManager.default.removeItem(at: place.appendingPathComponent(name))
            try FileManager.default.createSymbolicLink(
                at: place.appendingPathComponent(name),
                withDestinationURL: Samples.bundleDirectory.appendingPathComponent(name))
            assertThrows(.missingFile) { _ = try ModelBundle(directory: place).read(name) }
        }
    }

    func testAFileThatTheManifestDoesNotListIsNotRead() throws {
        let place = try Samples.copy(for: self)
        try Data("more\n".utf8).write(to: place.appendingPathComponent("more.txt"))
        let bundle = try ModelBundle(directory: place)
        XCTAssertNoThrow(try bundle.read("vocab.txt"))
        let message = assertThrows(.missingFile) { _ = try bundle.read("more.txt") }
        XCTAssertTrue(message.contains("more.txt"), message)
    }

    func testABundleNeedsAManifest() {
        assertThrows(.missingFile) {
            _ = try ModelBundle(directory: URL(fileURLWithPath: "/nowhere", isDirectory: true))
        }
    }

    func testPathsStayInside() throws {
        for name in ["../vocab.txt", "/etc/hosts", "a/../../b", "", "a\\b", "a\0b"] {
            XCTAssertFalse(ModelBundle.staysInside(name), name)
        }
        XCTAssertTrue(ModelBundle.staysInside("model.mlpackage/Data/weight..bin"))
        let place = try Samples.copy(for: self)
        let manifest = place.appendingPathComponent("manifest.json")
        let text = try String(contentsOf: manifest, encoding: .utf8)
        try text.replacingOccurrences(of: "\"golden.jsonl\"", with: "\"../golden.jsonl\"")
            .write(to: manifest, atomically: true, encoding: .utf8)
        assertThrows(.badManifest) { _ = try ModelBundle(directory: place) }
    }

    func testHashesAsTheStandardSays() {
        func digest(_ bytes: [UInt8], pieces: Int) -> String {
            var hash = PortableSHA256()
            for begin in stride(from: 0, to: bytes.count, by: pieces) {
                bytes[begin..<min(begin + pieces, bytes.count)].withUnsafeBytes {
                    hash.update(bufferPointer: $0)
                }
            }
            return FileHash.hexadecimal(hash.finalize())
        }
        // FIPS 180-4, examples.
        XCTAssertEqual(
            digest(Array("abc".utf8), pieces: 64),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        XCTAssertEqual(
            digest([], pieces: 64),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        let long = [UInt8](repeating: UInt8(ascii: "a"), count: 10_000)
        for pieces in [1, 63, 64, 65, 1000] {
            XCTAssertEqual(
                digest(long, pieces: pieces),
                "27dd1f61b867b6a0f6e9d8a41c43231de52107e53ae424de8f847b821db4b711")
        }
    }
}
