import XCTest

@testable import QACore

final class TokenizerTests: XCTestCase {
    private func tokens(
        _ text: String, _ pieces: [String], lowercase: Bool = true, stripAccents: Bool = true
    ) throws -> (ids: [Int32], offsets: [[Int32]]) {
        let tokenizer = try Samples.tokenizer(
            pieces, lowercase: lowercase, stripAccents: stripAccents)
        let found = tokenizer.tokenize(CodePoints(text))
        return (found.ids, zip(found.starts, found.ends).map { [$0, $1] })
    }

    func testTakesTheLongestPieces() throws {
        let found = try tokens("Unwanted", ["un", "unw", "##want", "##ant", "##ed", "##e"])
        XCTAssertEqual(found.ids, [6, 8, 9])
        XCTAssertEqual(found.offsets, [[0, 3], [3, 6], [6, 8]])
    }

    func testAWordWithARestThatNoPieceFitsIsUnknown() throws {
        let found = try tokens("unx un", ["un"])
        XCTAssertEqual(found.ids, [1, 5])
        XCTAssertEqual(found.offsets, [[0, 3], [4, 6]])
    }

    func testAWordOfMoreThanAHundredCharactersIsUnknown() throws {
        let pieces = ["a", "##a"]
        XCTAssertEqual(try tokens(String(repeating: "a", count: 100), pieces).ids.count, 100)
        XCTAssertEqual(try tokens(String(repeating: "a", count: 101), pieces).ids, [1])
    }

    func testSpecialTokensInATextAreThemselves() throws {
        let found = try tokens("a[SEP]A [sep]", ["a", "[", "]", "sep"])
        XCTAssertEqual(found.ids, [5, 3, 5, 6, 8, 7])
        XCTAssertEqual(found.offsets, [[0, 1], [1, 6], [6, 7], [8, 9], [9, 12], [12, 13]])
    }

    func testASpecialTokenThatTheVocabularyLacksIsText() throws {
        let lines = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[\n]\nmask\n"
        let tokenizer = WordPieceTokenizer(vocabulary: try Vocabulary(utf8: Array(lines.utf8)))
        XCTAssertEqual(tokenizer.tokenize(CodePoints("[MASK]")).ids, [4, 6, 5])
    }

    func testDropsAccentsAndLowersTheCasePerCodePoint() throws {
        XCTAssertEqual(try tokens("Éa\u{0301}", ["ea"]).offsets, [[0, 2]])
        // A final sigma stays σ: no context rules.
        XCTAssertEqual(try tokens("ΟΣ", ["οσ", "ος"]).ids, [5])
        XCTAssertEqual(try tokens("É", ["É", "é", "e"], lowercase: false).ids, [1])
        XCTAssertEqual(try tokens("É", ["É", "é", "e"], stripAccents: false).ids, [6])
        XCTAssertEqual(
            try tokens("É", ["É", "é", "e"], lowercase: false, stripAccents: false).ids, [5])
    }

    func testACharacterThatBecomesSeveralKeepsItsPlaceForEach() throws {
        let found = try tokens("한", ["\u{1112}", "##\u{1161}", "##\u{11AB}"])
        XCTAssertEqual(found.ids, [5, 6, 7])
        XCTAssertEqual(found.offsets, [[0, 1], [0, 1], [0, 1]])
    }

    func testASpacingMarkMovesOverAnotherAndTakesItsPlace() throws {
        // U+302E is of class 224 and stays, U+0308 is of class 230 and goes.
        let found = try tokens("o\u{0308}\u{302E}", ["o\u{302E}"])
        XCTAssertEqual(found.ids, [5])
        XCTAssertEqual(found.offsets, [[0, 2]])
    }

    func testLongRunsOfMarksAreSorted() throws {
        let text = "o" + String(repeating: "\u{0308}\u{302E}", count: 20)
        let found = try tokens(text, ["o", "##\u{302E}"])
        XCTAssertEqual(found.ids, [5] + Array(repeating: 6, count: 20))
        XCTAssertEqual(found.offsets.last, [20, 21])
    }

    func testIdeographsAndPunctuationAreWords() throws {
        let found = try tokens("x東京,y", ["x", "東", "京", ",", "y"])
        XCTAssertEqual(found.ids, [5, 6, 7, 8, 9])
        XCTAssertEqual(found.offsets, [[0, 1], [1, 2], [2, 3], [3, 4], [4, 5]])
    }

    func testWhiteSpaceSplitsAndControlCharactersVanish() throws {
        let found = try tokens("a\u{00A0}b\u{3000}c\u{0007}d\u{200B}", ["a", "b", "cd"])
        XCTAssertEqual(found.ids, [5, 6, 7])
        XCTAssertEqual(found.offsets, [[0, 1], [2, 3], [4, 7]])
    }

    func testNothingAndMuch() throws {
        XCTAssertEqual(try tokens("", ["a"]).ids, [])
        XCTAssertEqual(try tokens(" \n\u{0007}\u{0301}", ["a"]).ids, [])
        XCTAssertEqual(
            try tokens(String(repeating: "a ", count: 500_000), ["a"]).ids.count, 500_000)
    }

    func testAVocabularyNeedsItsSpecialTokens() {
        assertThrows(.badVocabulary) { _ = try Vocabulary(utf8: []) }
        let message = assertThrows(.badVocabulary) {
            _ = try Vocabulary(utf8: Array("[PAD]\n[CLS]\n[SEP]\nthe".utf8))
        }
        XCTAssertTrue(message.contains("[UNK]"), message)
        assertThrows(.badVocabulary) {
            _ = try Vocabulary(utf8: Array("[PAD]\n[UNK]\n[CLS]\n[SEP]\n".utf8) + [0xC3, 0x0A])
        }
    }

    func testOnlyALinesEndIsTakenFromAPiece() throws {
        XCTAssertEqual(try tokens("a", ["a", "a ", "a\t", "a\r\r"]).ids, [5])
        XCTAssertEqual(try tokens("a", ["a", "a\r"]).ids, [6])
        assertThrows(.badVocabulary) {
            _ = try Vocabulary(utf8: Array("[PAD] \n[UNK]\n[CLS]\n[SEP]\n".utf8))
        }
    }

    func testOfEqualLinesTheLastCountsAndBlankOnesTakeAnID() throws {
        let lines = "[PAD]\r\n[UNK]\r\n[CLS]\r\n[SEP]\r\n\r\na\r\na\r\n"
        let vocabulary = try Vocabulary(utf8: Array(lines.utf8))
        XCTAssertEqual(vocabulary.size, 7)
        let tokenizer = WordPieceTokenizer(vocabulary: vocabulary)
        XCTAssertEqual(tokenizer.tokenize(CodePoints("a")).ids, [6])
    }
}
