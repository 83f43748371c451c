import Foundation
import QACore
import XCTest

@testable import QARuntime

final class BenchmarkTests: XCTestCase {
    private static let device = Device(
        name: "iPhone0,0", isVirtual: false, os: "iOS", osVersion: "18.0.0", cores: 6,
        memoryBytes: 6_000_000_000)

    private func runner(
        offset: Float = 0, iterations: Int = 3,
        load: Engines.Loader? = nil, hasLoaded: Bool = false, thermal: String = "nominal"
    ) throws -> BenchmarkRunner {
        let model: Engines.Loader = { (_) throws(EngineError) in
            let model = FormulaModel()
            model.offset = offset
            return model
        }
        return BenchmarkRunner(
            bundle: try Samples.bundle(), question: "When was it built?", passage: Samples.passage,
            iterations: iterations,
            environment: BenchmarkRunner.Environment(
                prepare: { (_) async throws(EngineError) in }, load: load ?? model,
                hasLoaded: { hasLoaded }, device: Self.device,
                state: {
                    DeviceState(
                        thermal: thermal, batteryPercent: 80, charging: false, lowPower: false)
                },
                memory: { Memory(peak: 2000, method: "made up") },
                now: Samples.ticks(), pause: {}, appVersion: "1.0"))
    }

    private func member(_ value: JSONValue, _ path: String...) -> JSONValue? {
        path.reduce(value) { value, name in
            guard case .object(let members)? = value else { return nil }
            return members.first { $0.name == name }?.value
        }
    }

    func testWritesTheDocumentThatPythonReads() async throws {
        let document = await (try runner()).run()
        XCTAssertTrue(document.isComplete, document.reason)
        // All but the time of day is made up, so the document is always the same. Python's tests
        // read the sample: tests/mobile/test_ios_sources.py.
        let created = try XCTUnwrap(member(document.json, "created"))
        guard case .string(let time) = created else { return XCTFail("\(created)") }
        let text = String(decoding: document.bytes, as: UTF8.self)
            .replacingOccurrences(of: time.string, with: "2026-01-01T00:00:00Z")
        let sample = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("Samples/benchmark.json")
        if ProcessInfo.processInfo.environment["ONDEVICE_WRITE_SAMPLES"] != nil {
            try text.write(to: sample, atomically: true, encoding: .utf8)
        }
        XCTAssertEqual(text, try String(contentsOf: sample, encoding: .utf8))
    }

    func testALoadInAProcessThatLoadedBeforeIsNotCold() async throws {
        func kinds(hasLoaded: Bool) async throws -> Set<String> {
            let document = await (try runner(hasLoaded: hasLoaded)).run()
            XCTAssertTrue(document.isComplete, document.reason)
            guard case .array(let found)? = member(document.json, "measurements") else { return [] }
            return Set(
                found.compactMap {
                    guard case .string(let kind)? = member($0, "kind") else { return nil }
                    return kind.string
                })
        }
        let (first, later) = (
            try await kinds(hasLoaded: false), try await kinds(hasLoaded: true)
        )
        // The first inference is that after a cold load.
        XCTAssertEqual(first.subtracting(later), ["load_cold", "first_inference"])
        XCTAssertTrue(later.contains("load_warm"))
    }

    func testMemoryIsThatOfTheOnlyModelOrNone() async throws {
        let first = await (try runner(hasLoaded: false)).run()
        XCTAssertEqual(member(first.json, "memory", "peak_bytes"), .integer(2000))
        // The most that the process held may have been another model's.
        let later = await (try runner(hasLoaded: true)).run()
        XCTAssertNil(member(later.json, "memory"))
        let failed = await (try runner(offset: 0.5, hasLoaded: true)).run()
        XCTAssertNil(member(failed.json, "memory"))
    }

    func testAHotPhoneIsNotTimed() async throws {
        for (thermal, stops) in [("fair", false), ("serious", true), ("critical", true)] {
            let document = await (try runner(thermal: thermal)).run()
            XCTAssertEqual(document.isComplete, !stops, thermal)
            XCTAssertEqual(document.reason.contains("too hot"), stops, document.reason)
        }
    }

    func testIterationsStayWithinTheirRange() {
        XCTAssertEqual([-3, 80, 1_000_000].map(BenchmarkProtocol.iterations), [50, 80, 1000])
    }

    func testAnArtifactThatFailsItsGoldensIsNotTimed() async throws {
        let document = await (try runner(offset: 0.5)).run()
        XCTAssertFalse(document.isComplete)
        XCTAssertEqual(member(document.json, "status"), .string("partial"))
        XCTAssertEqual(member(document.json, "golden", "status"), .string("failed"))
        XCTAssertEqual(member(document.json, "measurements"), .array([]))
        XCTAssertEqual(member(document.json, "evidence"), .string("phone"))
    }

    func testARuntimeThatCannotLoadIsAPartialDocument() async throws {
        let load: Engines.Loader = { (_) throws(EngineError) in throw EngineError("no\nruntime") }
        let document = await (try runner(load: load)).run()
        XCTAssertEqual(member(document.json, "reason"), .string("no runtime"))
        XCTAssertEqual(member(document.json, "evidence"), .string("not run"))
        XCTAssertEqual(member(document.json, "golden", "status"), .string("not_run"))
    }

    func testCancellingLeavesAPartialDocument() async throws {
        let runner = try runner(iterations: 100_000)
        let task = Task { await runner.run() }
        task.cancel()
        let document = await task.value
        XCTAssertEqual(member(document.json, "reason"), .string("it was cancelled"))
    }

    func testProgressGoesUpToTheEnd() async throws {
        let shares = Recorder()
        _ = await (try runner()).run { shares.add($0.share) }
        XCTAssertEqual(shares.values, shares.values.sorted())
        XCTAssertEqual(shares.values.last, 1)
    }

    func testWarmUpEndsWhenTimesSettle() throws {
        var times = [900, 500, 300, 200, 110, 104, 102, 100, 101, 100, 100, 100, 100]
        let runs = try BenchmarkProtocol.time(
            length: 16, iterations: 2, pause: {},
            run: {
                StageTimes(tokenize: 0, infer: times.removeFirst(), decode: 0)
            })
        XCTAssertTrue(runs.stable)
        // The medians of the runs 5 to 7 and 8 to 10 are 104 and 100.
        XCTAssertEqual(runs.warmup.count, 10)
        XCTAssertEqual(runs.samples.map(\.infer), [100, 100])
    }

    func testWarmUpEndsAtItsLimit() throws {
        var time = 1
        let runs = try BenchmarkProtocol.time(
            length: 16, iterations: 1, pause: {},
            run: {
                time *= 2
                return StageTimes(tokenize: 0, infer: time, decode: 0)
            })
        XCTAssertFalse(runs.stable)
        XCTAssertEqual(runs.warmup.count, 30)
    }

    func testReadsTheProcesssMemory() throws {
        let memory = try XCTUnwrap(DeviceProbe.memory())
        XCTAssertGreaterThan(memory.peak, 1_000_000)
        XCTAssertLessThan(memory.peak, 1 << 40)
    }

    func testAWorkloadFillsItsLength() throws {
        let tokenizer = try Samples.bundle().tokenizer()
        for length in [16, 32, 128] {
            let pair = try Workload.fullPair(
                tokenizer: tokenizer, question: "When was it built?", passage: Samples.passage,
                length: length)
            let windows = try tokenizer.windows(
                question: CodePoints(pair.question), context: CodePoints(pair.context),
                options: Workload.options(length))
            XCTAssertEqual(windows.count, 1)
            XCTAssertGreaterThan(windows[0].count, length - 4)
        }
    }
}

private final class Recorder: @unchecked Sendable {
    private let lock = NSLock()
    private var recorded: [Double] = []

    var values: [Double] { lock.withLock { recorded } }

    func add(_ value: Double) { lock.withLock { recorded.append(value) } }
}
