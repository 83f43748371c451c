import QACore
import XCTest

@testable import QARuntime

final class ModelCheckTests: XCTestCase {
    private func check(_ model: FormulaModel) throws -> ModelCheck {
        try ModelCheck.run(Goldens.read(Samples.bundle()), pipeline: Samples.pipeline(model))
    }

    func testTheSampleModelPasses() throws {
        let found = try check(FormulaModel())
        XCTAssertNil(found.failure)
        // 21 texts, 6 windows, 12 decodes, 2 runs, 3 answers.
        XCTAssertEqual(found.checked, 44)
        XCTAssertEqual(found.maxAbs, 0)
    }

    func testAModelInUseHasPassedItsGoldens() throws {
        let bundle = try Samples.bundle()
        let model = try CheckedModel(bundle) { (_) throws(EngineError) in FormulaModel() }
        XCTAssertEqual(model.goldens, 44)
        let reply = try model.answer(question: "When was it built?", context: Samples.passage)
        XCTAssertFalse(reply.answers.isEmpty)
        let wrong: Engines.Loader = { (_) throws(EngineError) in
            let model = FormulaModel()
            model.offset = 0.5
            return model
        }
        XCTAssertThrowsError(try CheckedModel(bundle, load: wrong)) {
            XCTAssertTrue("\($0)".contains("golden"), "\($0)")
        }
    }

    func testOutputsBeyondTheLimitFail() throws {
        let model = FormulaModel()
        model.offset = 0.5
        let found = try check(model)
        XCTAssertFalse(found.passed)
        XCTAssertEqual(found.maxAbs, 0.5)
    }

    func testOutputsThatAreNotFiniteFail() throws {
        let model = FormulaModel()
        model.offset = .nan
        let found = try check(model)
        XCTAssertTrue(found.failure?.contains("not finite") == true, found.failure ?? "")
    }
}
