import QACore
import XCTest

@testable import QARuntime

final class ExcerptTests: XCTestCase {
    private func answer(_ start: Int, _ end: Int) -> Answer {
        Answer(text: "", start: start, end: end, score: 0, probability: 1)
    }

    func testCutsByOffsetNotBySearch() {
        let found = Excerpt(answer(9, 12), in: "😀 the a 😀the end")
        XCTAssertEqual([found.before, found.answer, found.after], ["😀 the a 😀", "the", " end"])
        XCTAssertFalse(found.cutBefore || found.cutAfter)
    }

    func testShowsSomeTextAround() {
        let found = Excerpt(answer(5, 6), in: "0123456789", around: 2)
        XCTAssertEqual([found.before, found.answer, found.after], ["34", "5", "67"])
        XCTAssertTrue(found.cutBefore && found.cutAfter)
    }

    func testStaysWithinTheText() {
        let found = Excerpt(answer(2, 99), in: "abc")
        XCTAssertEqual([found.before, found.answer, found.after], ["ab", "c", ""])
    }
}
