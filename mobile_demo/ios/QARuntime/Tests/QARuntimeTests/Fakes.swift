import Foundation
import QACore
import XCTest

@testable import QARuntime

/// The sample model: the two formulas of `QACore/Tests/write_samples.py`.
final class FormulaModel: QAModel {
    let engine = EngineInfo(name: "formulas", version: "1", accelerator: "cpu", threads: 1)
    /// Added to each start logit: how a broken artifact is off.
    var offset: Float = 0
    private(set) var lengths: [Int] = []

    func run(_ inputs: ModelInputs) throws(EngineError) -> [String: [Float]] {
        lengths.append(inputs.length)
        let ids = try inputs.row("input_ids")
        var (start, end): ([Float], [Float]) = ([], [])
        for (place, id) in ids.enumerated() {
            start.append(Float((Int(id) * 7919 + place * 104729) % 97) / 8 + offset)
            end.append(Float((Int(id) * 31 + place * 1543) % 89) / 8)
        }
        return ["start": start, "end": end]
    }
}

enum Samples {
    /// The sample bundle lies with QACore's tests.
    static let bundleDirectory = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().appendingPathComponent("../../../QACore/Tests/QACoreTests")
        .appendingPathComponent("Samples/bundle", isDirectory: true).standardized

    static func bundle() throws -> ModelBundle { try BundleLibrary.open(bundleDirectory) }

    static func pipeline(
        _ model: any QAModel = FormulaModel(), now: @escaping Clock = ticks()
    ) throws -> Pipeline {
        let bundle = try bundle()
        return try Pipeline(
            manifest: bundle.manifest, tokenizer: bundle.tokenizer(), model: model, now: now)
    }

    /// A clock that goes on by 1,000 ns each time that it is read.
    static func ticks() -> Clock {
        let time = Counter()
        return { time.next() * 1000 }
    }

    static let passage = "The bridge over the river was built in 1950 and named the long bridge."
}

final class Counter: @unchecked Sendable {
    private let lock = NSLock()
    private var value: UInt64 = 0

    func next() -> UInt64 {
        lock.withLock {
            value += 1
            return value
        }
    }
}
