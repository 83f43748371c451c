import QACore

/// A runtime that holds an artifact. It is used by one task at a time.
public protocol QAModel: AnyObject {
    var engine: EngineInfo { get }

    /// Run inputs of one of the artifact's lengths; outputs by role, row after row.
    func run(_ inputs: ModelInputs) throws(EngineError) -> [String: [Float]]
}

/// What an engine is, for the benchmark's document.
public struct EngineInfo: Sendable, Equatable {
    public let name: String
    public let version: String
    /// What was asked for: "all", "cpu", "xnnpack".
    public let accelerator: String
    /// Nil where the runtime chooses by itself.
    public let threads: Int?

    public init(name: String, version: String, accelerator: String, threads: Int? = nil) {
        self.name = name
        self.version = version
        self.accelerator = accelerator
        self.threads = threads
    }
}

/// A runtime cannot load an artifact or cannot run it; the message is for the user.
public struct EngineError: Error, Equatable, Sendable, CustomStringConvertible {
    public let message: String

    public init(_ message: String) {
        self.message = message
    }

    public var description: String { message }
}

/// The inputs of an artifact, padded on the right: each a row of `length` int32.
public struct ModelInputs: Sendable, Equatable {
    public let length: Int
    private let rows: [String: [Int32]]

    public init(length: Int, rows: [String: [Int32]]) throws(EngineError) {
        for (name, row) in rows where row.count != length {
            throw EngineError("the input '\(name)' has \(row.count) of \(length) tokens")
        }
        self.length = length
        self.rows = rows
    }

    /// Pad a window to a length.
    public init(_ window: Window, length: Int, padID: Int) throws(EngineError) {
        guard window.count <= length, let padID = Int32(exactly: padID) else {
            throw EngineError("a window of \(window.count) tokens does not fit \(length)")
        }
        let padding = length - window.count
        try self.init(
            length: length,
            rows: [
                "input_ids": window.inputIDs + [Int32](repeating: padID, count: padding),
                "attention_mask": [Int32](repeating: 1, count: window.count)
                    + [Int32](repeating: 0, count: padding),
                "token_type_ids": window.tokenTypeIDs + [Int32](repeating: 0, count: padding),
            ])
    }

    /// Refuse ids that a model's vocabulary does not have.
    func checkIDs(vocabularySize: Int) throws(EngineError) {
        guard try row("input_ids").allSatisfy({ $0 >= 0 && Int($0) < vocabularySize }) else {
            throw EngineError("an id is not in the model's vocabulary of \(vocabularySize) pieces")
        }
    }

    /// The row of an input, by its name in the manifest.
    public func row(_ name: String) throws(EngineError) -> [Int32] {
        guard let row = rows[name] else {
            throw EngineError("the artifact wants an input '\(name)', which is not known")
        }
        return row
    }
}
