import XCTest

@testable import QACore

final class WindowTests: XCTestCase {
    private let words = (0..<40).map { "w\(Unicode.Scalar(UInt8(97 + $0 % 26)))" }

    private func windows(
        _ question: String, _ context: String, _ options: QAOptions
    ) throws -> [Window] {
        let pieces = Array(Set(words)).sorted() + ["q"]
        return try Samples.tokenizer(pieces).windows(
            question: CodePoints(question), context: CodePoints(context), options: options)
    }

    func testOneWindowHoldsAShortContext() throws {
        let options = try QAOptions(maxLength: 20, docStride: 4, maxQuery: 8)
        let found = try windows("q q", "wa wb", options)
        XCTAssertEqual(found.count, 1)
        XCTAssertEqual(found[0].inputIDs, [2, 31, 31, 3, 5, 6, 3])
        XCTAssertEqual(found[0].tokenTypeIDs, [0, 0, 0, 0, 1, 1, 1])
        XCTAssertEqual(found[0].place.context, 4..<6)
        XCTAssertEqual(found[0].place.starts, [0, 0, 0, 0, 0, 3, 0])
        XCTAssertEqual(found[0].place.ends, [0, 0, 0, 0, 2, 5, 0])
        XCTAssertEqual(found[0].place.maxContext, [false, false, false, false, true, true, false])
    }

    func testWindowsShareTheStrideAndEveryTokenHasOneOwner() throws {
        let options = try QAOptions(maxLength: 20, docStride: 5, maxQuery: 8)
        let context = words.joined(separator: " ")
        let found = try windows("q", context, options)
        // 16 tokens of room, steps of 11.
        XCTAssertEqual(found.map(\.place.context.count), [16, 16, 16, 7])
        XCTAssertTrue(found.allSatisfy { $0.count <= 20 })
        let owned = found.map { $0.place.maxContext.filter(\.self).count }
        XCTAssertEqual(owned.reduce(0, +), words.count)
    }

    func testALongQuestionIsCutAtAWholeToken() throws {
        let options = try QAOptions(maxLength: 20, docStride: 5, maxQuery: 3)
        let found = try windows("q q q q q", "wa", options)
        XCTAssertEqual(found[0].inputIDs, [2, 31, 31, 31, 3, 5, 3])
    }

    func testTheOverlapIsHalfOfTheRoomAtTheMost() throws {
        let options = try QAOptions(maxLength: 16, docStride: 100, maxQuery: 4)
        let found = try windows("q", words.joined(separator: " "), options)
        XCTAssertEqual(found.first?.place.context.count, 12)
        XCTAssertEqual(found.count, 6)
    }

    func testNothingToAskOrToRead() throws {
        let options = try QAOptions()
        assertThrows(.emptyQuestion) { _ = try windows(" ", "wa", options) }
        assertThrows(.emptyContext) { _ = try windows("q", "\u{0007}\u{00A0}", options) }
    }

    func testOptionsLeaveRoom() {
        assertThrows(.badRequest) { _ = try QAOptions(maxLength: 20, maxQuery: 9) }
        assertThrows(.badRequest) { _ = try QAOptions(docStride: -1) }
        assertThrows(.badRequest) { _ = try QAOptions(nBest: 0) }
        assertThrows(.badRequest) { _ = try QAOptions(maxLength: .min, maxQuery: .max) }
        XCTAssertNoThrow(try QAOptions(maxLength: 20, maxQuery: 8))
        XCTAssertNoThrow(
            try QAOptions(
                maxLength: .max, docStride: .max, maxQuery: 8, maxAnswer: .max, nBest: .max))
    }
}
