import XCTest

@testable import QACore

/// What the goldens do not show; ties, order and max-context are theirs.
final class DecodeTests: XCTestCase {
    private let context = CodePoints("a b c")
    private let place = WindowPlace(
        starts: [0, 0, 2, 4, 0], ends: [0, 1, 3, 5, 0], context: 1..<4,
        maxContext: [false, true, true, true, false])

    private func answers(
        _ start: [Float], _ end: [Float], nBest: Int = 20, maxAnswer: Int = 30
    ) throws -> [Answer] {
        let options = try QAOptions(maxAnswer: maxAnswer, nBest: nBest)
        return try decode(
            [WindowLogits(place: place, start: start, end: end)], context: context, options: options
        )
    }

    func testChoosesTheBestSpanAndCutsItFromTheText() throws {
        let found = try answers([9, 0, 3, 1, 9], [9, 0, 1, 2, 9])
        XCTAssertEqual(found[0].text, "b c")
        XCTAssertEqual([found[0].start, found[0].end], [2, 5])
        XCTAssertEqual(found[0].score, 5)
        XCTAssertEqual(found.count, 6)
        XCTAssertEqual(found.map(\.probability).reduce(0, +), 1, accuracy: 1e-12)
    }

    func testPaddingBeyondTheWindowIsIgnored() throws {
        let found = try answers([0, 0, 3, 1, 0, .nan], [0, 0, 1, 2, 0, .nan])
        XCTAssertEqual(found[0].text, "b c")
    }

    func testLogitsThatAreNotFiniteAreAnError() {
        assertThrows(.notFinite) { _ = try answers([.nan, 0, 0, 0, 0], [0, 0, 0, 0, 0]) }
        assertThrows(.notFinite) { _ = try answers([0, 0, 0, 0, 0], [0, 0, .infinity, 0, 0]) }
    }

    func testTooFewLogitsAreAnError() {
        assertThrows(.badRequest) { _ = try answers([0, 0, 0, 0], [0, 0, 0, 0, 0]) }
    }

    func testASumBeyondFloat32TakesAPlaceButIsNoAnswer() throws {
        let huge: Float = 3e38
        let found = try answers([0, huge, 0, 0, 0], [0, huge, 0, 0, 0], nBest: 2)
        XCTAssertEqual(found.map(\.score), [huge])
    }

    func testManyBestAreTheSameAsFew() throws {
        let start: [Float] = [0, 1, 2, 1, 0]
        let end: [Float] = [0, 1, 1, 1, 0]
        let few = try answers(start, end, nBest: 3)
        let many = try answers(start, end, nBest: 1000)
        XCTAssertEqual(few.map(\.start), many.prefix(3).map(\.start))
        XCTAssertEqual(few.map(\.end), many.prefix(3).map(\.end))
    }

    func testNoWindowsHaveNoAnswers() throws {
        XCTAssertEqual(try decode([], context: context, options: QAOptions()), [])
    }
}
