import QACore
import QARuntime
import XCTest

@testable import OnDeviceQA

/// Times whole answers with XCTest's metrics; `xcresulttool get test-results metrics` reads them.
/// Nothing is asserted of a time: phones differ.
final class AnswerPerformanceTests: XCTestCase {
    /// Compiled before it is loaded: `measure` cannot wait for that.
    override func setUp() async throws {
        for entry in AppFiles.bundles() {
            try await Engines.prepare(BundleLibrary.open(entry.directory))
        }
    }

    func testAnswer() throws {
        let entries = AppFiles.bundles()
        guard let entry = entries.first(where: { (try? $0.manifest.get().task) == "qa" }) else {
            throw XCTSkip("no bundle for questions is embedded")
        }
        let bundle = try BundleLibrary.open(entry.directory)
        let model = try CheckedModel(bundle)
        let passage = try XCTUnwrap(AppFiles.passages().first)
        let question = try XCTUnwrap(passage.questions.first)
        // A model that does not answer has no times.
        let reply = try model.answer(question: question, context: passage.context)
        XCTAssertFalse(reply.answers.isEmpty)
        let options = XCTMeasureOptions()
        options.iterationCount = 20
        measure(
            metrics: [XCTClockMetric(), XCTCPUMetric(), XCTMemoryMetric()], options: options
        ) {
            _ = try? model.answer(question: question, context: passage.context)
        }
    }

    func testTokenize() throws {
        guard let entry = AppFiles.bundles().first else {
            throw XCTSkip("no bundle is embedded")
        }
        let tokenizer = try ModelBundle(directory: entry.directory).tokenizer()
        let passages = try AppFiles.passages().map(\.context)
        let text = String(passages.joined(separator: "\n").prefix(100_000))
        measure {
            _ = tokenizer.tokenize(CodePoints(text))
        }
    }
}
