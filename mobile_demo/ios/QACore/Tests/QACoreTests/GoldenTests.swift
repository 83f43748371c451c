import XCTest

@testable import QACore

final class GoldenTests: XCTestCase {
    func testTheSampleBundlesGoldensHold() throws {
        let bundle = try Samples.bundle()
        let check = try GoldenCheck.run(Goldens.read(bundle), tokenizer: bundle.tokenizer())
        XCTAssertNil(check.firstFailure)
        XCTAssertEqual(check.tokenize.passed, 21)
        XCTAssertEqual(check.window.passed, 6)
        XCTAssertEqual(check.decode.passed, 12)
    }

    /// Any bundle, as built: `ONDEVICE_BUNDLE=/FULL/PATH swift test`.
    func testABundlesGoldensHold() throws {
        guard let place = ProcessInfo.processInfo.environment["ONDEVICE_BUNDLE"] else {
            throw XCTSkip("ONDEVICE_BUNDLE names no bundle")
        }
        let directory = URL(fileURLWithPath: place, isDirectory: true)
        guard FileManager.default.fileExists(atPath: directory.path) else {
            return XCTFail("no bundle at \(directory.path); give the full path")
        }
        let bundle = try ModelBundle(directory: directory)
        try bundle.verify()
        let check = try GoldenCheck.run(Goldens.read(bundle), tokenizer: bundle.tokenizer())
        XCTAssertNil(check.firstFailure)
        XCTAssertGreaterThan(check.tokenize.passed, 0)
    }

    func testAnotherTokenizerFails() throws {
        let bundle = try Samples.bundle()
        let check = try GoldenCheck.run(
            Goldens.read(bundle), tokenizer: Samples.tokenizer(lowercase: false))
        XCTAssertGreaterThan(check.tokenize.failed, 0)
        XCTAssertNotNil(check.firstFailure)
        XCTAssertEqual(check.decode.failed, 0)
    }

    func testALineThatIsNoRecordIsNamed() {
        let good = #"{"kind":"tokenize","text":"","ids":[],"offsets":[],"utf16_offsets":[]}"#
        for bad in [
            "", "{}", #"{"kind":"other"}"#, good.replacingOccurrences(of: "}", with: ",\"x\":1}"),
            good.replacingOccurrences(of: "\"ids\":[]", with: "\"ids\":[1.5]"),
        ] {
            let message = assertThrows(.badGolden) {
                _ = try Goldens.read(lines: Array("\(good)\n\(bad)\n".utf8))
            }
            XCTAssertTrue(message.contains("line 2"), message)
        }
        XCTAssertEqual(try Goldens.read(lines: Array("\(good)\n".utf8)).count, 1)
    }

    func testReadsOutputsOfEveryShape() throws {
        func record(_ outputs: String) throws -> GoldenRecord {
            let text = """
                {"kind":"run","length":2,"valid":1,"inputs":{"input_ids":[1,0]},\
                "outputs":{"logits":\(outputs)},"max_abs":0.1,"min_cosine":null}
                """
            return try GoldenRecord(json: Array(text.utf8))
        }
        for (outputs, expected) in [("[[1,2.5]]", [1, 2.5]), ("[[[1],[2.5]]]", [1, 2.5])] {
            guard case .run(let run) = try record(outputs) else { return XCTFail(outputs) }
            XCTAssertEqual(run.outputs["logits"], expected.map(Float.init))
            XCTAssertEqual(run.maxAbs, 0.1)
        }
        for outputs in ["[1]", "1", "[[[[1]]]]", "[[null]]", "[[1e999]]"] {
            assertThrows(.badGolden) { _ = try record(outputs) }
        }
    }
}
