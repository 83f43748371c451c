import QACore
import QARuntime
import UIKit
import XCTest

@testable import OnDeviceQA

/// What the app carries is whole and gives its goldens' answers, on a simulator or a phone.
final class BundleTests: XCTestCase {
    func testEveryEmbeddedBundleGivesItsGoldensAnswers() async throws {
        let entries = AppFiles.bundles()
        try XCTSkipIf(entries.isEmpty, "no bundle is embedded")
        for entry in entries {
            let bundle = try BundleLibrary.open(entry.directory)
            guard bundle.manifest.task == "qa" else { continue }
            try await Engines.prepare(bundle)
            let pipeline = try Pipeline(
                manifest: bundle.manifest, tokenizer: bundle.tokenizer(),
                model: Engines.load(bundle))
            let check = ModelCheck.run(try Goldens.read(bundle), pipeline: pipeline)
            XCTAssertNil(check.failure, entry.id)
            XCTAssertGreaterThan(check.checked, 0, entry.id)
        }
    }

    func testReadsThePassages() throws {
        try XCTSkipIf(AppFiles.bundles().isEmpty, "no bundle is embedded")
        let passages = try AppFiles.passages()
        XCTAssertFalse(passages.isEmpty)
        XCTAssertTrue(passages.allSatisfy { !$0.context.isEmpty })
    }

    func testHeadlessRunsAreAskedForByEnvironment() {
        XCTAssertNil(HeadlessOptions(environment: [:]))
        XCTAssertNil(HeadlessOptions(environment: ["ONDEVICE_BENCHMARK": "0"]))
        let options = HeadlessOptions(environment: [
            "ONDEVICE_BENCHMARK": "1", "ONDEVICE_ITERATIONS": "80", "ONDEVICE_BUNDLE": "student",
        ])
        XCTAssertEqual(options?.iterations, 80)
        XCTAssertEqual(options?.bundle, "student")
        let odd = HeadlessOptions(environment: [
            "ONDEVICE_BENCHMARK": "1", "ONDEVICE_ITERATIONS": "-3",
        ])
        XCTAssertEqual(odd?.iterations, BenchmarkProtocol.leastIterations)
        XCTAssertNil(odd?.bundle)
    }

    @MainActor
    func testABenchmarkLetsThePhoneSleepAgain() async {
        UIApplication.shared.isIdleTimerDisabled = true
        let nowhere = URL(fileURLWithPath: "/nowhere", isDirectory: true)
        _ = try? await Benchmarks.run(nowhere, iterations: 1) { _ in }
        XCTAssertFalse(UIApplication.shared.isIdleTimerDisabled)
    }

    @MainActor
    func testModelsAreAskedOneAfterAnother() async {
        let questions = [QuestionModel(), QuestionModel()]
        await QuestionModel.ask(
            "Where?", about: "Here.", of: [(questions[0], "none"), (questions[1], nil)],
            in: AppModel())
        for question in questions {
            XCTAssertEqual(question.question, "Where?")
            guard case .failed = question.state else { return XCTFail("it did not fail") }
        }
    }

    @MainActor
    func testAQuestionWithoutAModelIsAProblemNotACrash() {
        let question = QuestionModel()
        XCTAssertFalse(question.canAsk)
        question.question = "Where?"
        XCTAssertTrue(question.canAsk)
        question.ask(about: "Here.", with: nil, in: AppModel())
        guard case .failed = question.state else { return XCTFail("it did not fail") }
    }
}
