import Foundation
import XCTest

@testable import QARuntime

final class CompiledModelsTests: XCTestCase {
    private let place = FileManager.default.temporaryDirectory
        .appendingPathComponent("compiled-\(UUID().uuidString)", isDirectory: true)

    private var models: CompiledModels {
        CompiledModels(directory: place.appendingPathComponent("kept", isDirectory: true))
    }

    override func tearDown() {
        try? FileManager.default.removeItem(at: place)
    }

    /// A compiler that writes a directory with one file.
    private func compiler(_ content: String) -> @Sendable () async throws -> URL {
        let place = place
        return {
            let made = place.appendingPathComponent(UUID().uuidString, isDirectory: true)
            try FileManager.default.createDirectory(at: made, withIntermediateDirectories: true)
            try Data(content.utf8).write(to: made.appendingPathComponent("model"))
            return made
        }
    }

    private func content(_ hash: String) throws -> String {
        let found = try XCTUnwrap(models.find(hash))
        return try String(contentsOf: found.appendingPathComponent("model"), encoding: .utf8)
    }

    func testIsCompiledOnce() async throws {
        XCTAssertNil(models.find("a"))
        try await models.prepare("a", wanted: [], compile: compiler("first"))
        try await models.prepare("a", wanted: [], compile: compiler("second"))
        XCTAssertEqual(try content("a"), "first")
    }

    func testTheSecondOfTwoAtOnceTakesTheFirsts() async throws {
        let (models, first, second) = (models, compiler("first"), compiler("second"))
        try await models.prepare("a", wanted: []) {
            try await models.prepare("a", wanted: [], compile: first)
            return try await second()
        }
        XCTAssertEqual(try content("a"), "first")
        let left = try FileManager.default.contentsOfDirectory(atPath: place.path)
        XCTAssertEqual(left, ["kept"])
    }

    func testOnlyThoseOfEmbeddedModelsAreKept() async throws {
        for hash in ["a", "b", "c"] {
            try await models.prepare(hash, wanted: ["a", "b", "c"], compile: compiler(hash))
        }
        try await models.prepare("c", wanted: ["b"], compile: compiler("again"))
        XCTAssertNil(models.find("a"))
        XCTAssertEqual(try ["b", "c"].map(content), ["b", "c"])
    }

    func testACompilationThatFailsIsTheError() async throws {
        struct Failed: Error {}
        do {
            try await models.prepare("a", wanted: []) { throw Failed() }
            XCTFail("it did not fail")
        } catch is Failed {}
        XCTAssertNil(models.find("a"))
    }
}
