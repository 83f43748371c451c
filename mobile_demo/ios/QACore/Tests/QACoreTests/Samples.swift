import Foundation
import XCTest

@testable import QACore

/// The sample bundle; `../write_samples.py` writes it.
enum Samples {
    static var bundleDirectory: URL {
        (Bundle.module.resourceURL ?? Bundle.module.bundleURL)
            .appendingPathComponent("Samples/bundle", isDirectory: true)
    }

    static func bundle() throws -> ModelBundle { try ModelBundle(directory: bundleDirectory) }

    static func tokenizer(lowercase: Bool = true, stripAccents: Bool = true) throws
        -> WordPieceTokenizer
    {
        WordPieceTokenizer(
            vocabulary: try Vocabulary(utf8: bundle().read("vocab.txt")),
            lowercase: lowercase, stripAccents: stripAccents)
    }

    /// A tokenizer over the special tokens and these pieces, which get the ids from 5.
    static func tokenizer(
        _ pieces: [String], lowercase: Bool = true, stripAccents: Bool = true
    ) throws -> WordPieceTokenizer {
        let lines = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + pieces
        return WordPieceTokenizer(
            vocabulary: try Vocabulary(utf8: Array(lines.joined(separator: "\n").utf8)),
            lowercase: lowercase, stripAccents: stripAccents)
    }

    /// A copy of the sample bundle that a test may damage; gone when the test ends.
    static func copy(for test: XCTestCase) throws -> URL {
        let place = FileManager.default.temporaryDirectory
            .appendingPathComponent(UUID().uuidString, isDirectory: true)
        try FileManager.default.copyItem(at: bundleDirectory, to: place)
        test.addTeardownBlock { try? FileManager.default.removeItem(at: place) }
        return place
    }
}

/// Run what must throw an error of this kind; return its message.
@discardableResult
func assertThrows(
    _ kind: QAError.Kind, file: StaticString = #filePath, line: UInt = #line,
    _ body: () throws -> Void
) -> String {
    do {
        try body()
        XCTFail("nothing was thrown, not \(kind)", file: file, line: line)
    } catch let error as QAError {
        XCTAssertEqual(error.kind, kind, error.message, file: file, line: line)
        return error.message
    } catch {
        XCTFail("another error: \(error)", file: file, line: line)
    }
    return ""
}
