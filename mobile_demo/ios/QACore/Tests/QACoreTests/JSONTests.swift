import XCTest

@testable import QACore

final class JSONTests: XCTestCase {
    private func parse(_ text: String) throws -> JSONValue {
        try JSONReader.parse(Array(text.utf8))
    }

    func testTellsNumbersApart() throws {
        XCTAssertEqual(
            try parse("[0, -12, 1.5, 1e2, -0.0, 9223372036854775807, 9223372036854775808, 1e999]"),
            [
                .integer(0), .integer(-12), .number(1.5), .number(100), .number(-0.0),
                .integer(.max), .number(9_223_372_036_854_775_808), .number(.infinity),
            ])
    }

    func testReadsEscapesAndUnpairedSurrogates() throws {
        let text = #""\u00e9\n\ud83d\ude00\ud800x\udc00\ud800\u0041\/""#
        XCTAssertEqual(
            try parse(text),
            .string(CodePoints([0xE9, 10, 0x1F600, 0xFFFD, 0x78, 0xFFFD, 0xFFFD, 0x41, 0x2F])))
    }

    func testKeepsMembersInOrder() throws {
        XCTAssertEqual(
            try parse(#" {"b": null , "a": [true,false]} "#),
            ["b": .null, "a": [.bool(true), .bool(false)]])
    }

    func testRefusesWhatIsNotJSON() {
        let faults = [
            "", " ", "{", "[1,]", "{\"a\" 1}", "{\"a\":1,}", "nul", "+1", "01", "1.", ".5", "1e",
            "\"a", "\"\\x\"", "\"\\u12g4\"", "\"\\u1", "\"\n\"", "NaN", "-", "-Infinity", "1 2",
            "'a'",
        ]
        for text in faults {
            XCTAssertThrowsError(try parse(text), text)
        }
        XCTAssertThrowsError(try JSONReader.parse([0x22, 0xFF, 0x22]))
    }

    func testRefusesDeepNesting() throws {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        XCTAssertNoThrow(try parse(nested(JSONReader.maxDepth)))
        XCTAssertThrowsError(try parse(nested(JSONReader.maxDepth + 1)))
        XCTAssertThrowsError(try parse(String(repeating: "{\"a\":", count: 200_000)))
    }

    func testWritesWhatItReads() throws {
        let value: JSONValue = [
            "text": .string("é \" \\ \n \u{7F} \u{2028} 😀"),
            "numbers": [.integer(-1), .number(0.1)],
            "flags": [.bool(true), .null], "empty": .object([]),
        ]
        let bytes = JSONWriter.bytes(value)
        XCTAssertFalse(bytes.contains(10))
        XCTAssertEqual(try JSONReader.parse(bytes), value)
        XCTAssertEqual(JSONWriter.bytes(.number(.nan)), Array("null".utf8))
    }
}
