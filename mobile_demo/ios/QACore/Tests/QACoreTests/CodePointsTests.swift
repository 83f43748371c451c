import XCTest

@testable import QACore

final class CodePointsTests: XCTestCase {
    func testCountsCodePointsNotCharacters() {
        XCTAssertEqual(CodePoints("👩\u{200D}👧e\u{0301}").count, 5)
    }

    func testGivesUTF16Places() {
        let text = CodePoints("a😀b👧")
        XCTAssertEqual((0...4).map(text.utf16Offset), [0, 1, 3, 4, 6])
    }

    func testReadsSurrogatesAsReplacements() {
        let text = CodePoints([0x61, 0xD800, 0xDFFF, 0x110000])
        XCTAssertEqual(text.values, [0x61, 0xFFFD, 0xFFFD, 0xFFFD])
        XCTAssertEqual(text.utf16Offset(4), 4)
    }

    func testCutsWithinTheText() {
        let text = CodePoints("a😀b")
        XCTAssertEqual(text.string(1, 2), "😀")
        XCTAssertEqual(text.string(2, 9), "b")
        XCTAssertEqual(text.string(-5, 1), "a")
        XCTAssertEqual(text.string(2, 1), "")
        XCTAssertEqual(text.prefix(2), CodePoints("a😀"))
    }

    func testUTF8IsStrict() {
        let faults: [[UInt8]] = [
            [0x80], [0xC0, 0x80], [0xE0, 0x80, 0x80], [0xED, 0xA0, 0x80],
            [0xF4, 0x90, 0x80, 0x80], [0xF8], [0xE2, 0x82],
        ]
        for bytes in faults {
            var values: [UInt32] = []
            XCTAssertFalse(bytes.withUnsafeBufferPointer { UTF8Decoder.append($0, to: &values) })
        }
    }
}
