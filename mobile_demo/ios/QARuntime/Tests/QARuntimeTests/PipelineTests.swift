import QACore
import XCTest

@testable import QARuntime

final class PipelineTests: XCTestCase {
    func testGivesTheGoldensAnswers() throws {
        let pipeline = try Samples.pipeline()
        var compared = 0
        for case .answer(let record) in try Goldens.read(Samples.bundle()) {
            let reply = try pipeline.answer(
                question: record.question.string, context: record.context.string)
            XCTAssertEqual(reply.answers[0].text, record.answer.text)
            XCTAssertEqual(reply.answers[0].start, record.answer.start)
            XCTAssertEqual(reply.answers[0].score, record.answer.score)
            XCTAssertEqual(reply.lengths.count, record.windows)
            compared += 1
        }
        XCTAssertEqual(compared, 3)
    }

    func testRunsEachWindowAtTheShortestLength() throws {
        let model = FormulaModel()
        let pipeline = try Samples.pipeline(model)
        _ = try pipeline.answer(question: "Who?", context: "Ada met Bob.")
        let reply = try pipeline.answer(question: "Who?", context: Samples.passage)
        XCTAssertEqual(model.lengths[0], 16)
        XCTAssertEqual(Array(model.lengths.dropFirst()), reply.lengths)
    }

    func testTimesEachStage() throws {
        let reply = try Samples.pipeline().answer(question: "Who?", context: "Ada met Bob.")
        XCTAssertEqual(reply.times, StageTimes(tokenize: 1000, infer: 1000, decode: 1000))
        XCTAssertEqual(reply.times.total, 3000)
    }

    func testErrorsAreTyped() throws {
        let pipeline = try Samples.pipeline()
        XCTAssertThrowsError(try pipeline.answer(question: "", context: "a")) {
            XCTAssertEqual(($0 as? QAError)?.kind, .emptyQuestion)
        }
        let broken = FormulaModel()
        broken.offset = .nan
        XCTAssertThrowsError(
            try Samples.pipeline(broken).answer(question: "Who?", context: "Ada.")
        ) { XCTAssertEqual(($0 as? QAError)?.kind, .notFinite) }
        XCTAssertThrowsError(try ModelInputs(length: 2, rows: ["input_ids": [1]]))
        XCTAssertThrowsError(try ModelInputs(length: 1, rows: [:]).row("input_ids"))
    }

    func testIDsBeyondAModelsVocabularyAreRefused() throws {
        func check(_ ids: [Int32]) throws {
            try ModelInputs(length: ids.count, rows: ["input_ids": ids])
                .checkIDs(vocabularySize: 10)
        }
        XCTAssertNoThrow(try check([0, 9]))
        for ids: [Int32] in [[0, 10], [-1, 0]] {
            XCTAssertThrowsError(try check(ids)) { XCTAssertTrue("\($0)".contains("10"), "\($0)") }
        }
    }

    func testATargetWithoutARuntimeIsNamed() throws {
        XCTAssertThrowsError(try Engines.load(Samples.bundle())) {
            XCTAssertTrue("\($0)".contains("sample"), "\($0)")
        }
        XCTAssertTrue(Engines.hasLoaded())
    }

    func testListsBundlesAndOpensThemOnlyWhole() throws {
        let parent = FileManager.default.temporaryDirectory
            .appendingPathComponent(UUID().uuidString, isDirectory: true)
        defer { try? FileManager.default.removeItem(at: parent) }
        let place = parent.appendingPathComponent("sample", isDirectory: true)
        try FileManager.default.createDirectory(at: parent, withIntermediateDirectories: true)
        try FileManager.default.copyItem(at: Samples.bundleDirectory, to: place)
        try Data("not a bundle".utf8).write(to: parent.appendingPathComponent("README.md"))
        XCTAssertEqual(BundleLibrary.list(in: parent).map(\.id), ["sample"])
        XCTAssertNoThrow(try BundleLibrary.open(place))
        try Data("altered".utf8).write(to: place.appendingPathComponent("model.bin"))
        XCTAssertThrowsError(try BundleLibrary.open(place)) {
            XCTAssertEqual(($0 as? QAError)?.kind, .hashMismatch)
        }
        XCTAssertEqual(BundleLibrary.list(in: parent.appendingPathComponent("none")).count, 0)
    }
}
