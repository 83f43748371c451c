import XCTest

@testable import QACore

final class StatisticsTests: XCTestCase {
    func testInterpolatesBetweenTheClosestRanks() throws {
        let found = try XCTUnwrap(Statistics([10, 1, 3, 2, 4]))
        XCTAssertEqual(found.count, 5)
        XCTAssertEqual(found.median, 3)
        XCTAssertEqual(found.mean, 4)
        XCTAssertEqual([found.min, found.max], [1, 10])
        // numpy.percentile([1, 2, 3, 4, 10], [90, 99])
        XCTAssertEqual(found.p90, 7.6, accuracy: 1e-12)
        XCTAssertEqual(found.p99, 9.76, accuracy: 1e-12)
    }

    func testOneSampleIsEveryPercentile() throws {
        let found = try XCTUnwrap(Statistics([7]))
        XCTAssertEqual([found.median, found.p90, found.p99, found.mean], [7, 7, 7, 7])
    }

    func testSamplesThatAreTooLargeToAddOrToSubtractHaveNone() {
        XCTAssertNil(Statistics([1.7e308, 1.7e308]))
        XCTAssertNil(Statistics([-1.7e308, 1.7e308]))
        XCTAssertNotNil(Statistics([1.7e308]))
    }

    func testNothingAndNoNumbersHaveNone() {
        XCTAssertNil(Statistics([]))
        XCTAssertNil(Statistics([1, .nan]))
        XCTAssertNil(Statistics([.infinity]))
    }

    func testReadsPassages() throws {
        let text = """
            {"version": "1.1", "data": [{"title": "T", "paragraphs": [
              {"context": "C", "qas": [{"id": "1", "question": "Q?", "answers": []}]},
              {"context": "D", "qas": []}]}]}
            """
        XCTAssertEqual(
            try Passages.read(json: Array(text.utf8)),
            [
                Passage(title: "T", context: "C", questions: ["Q?"]),
                Passage(title: "T", context: "D", questions: []),
            ])
        assertThrows(.badPassages) { _ = try Passages.read(json: Array("{}".utf8)) }
        assertThrows(.badPassages) { _ = try Passages.read(json: Array("{".utf8)) }
    }
}
