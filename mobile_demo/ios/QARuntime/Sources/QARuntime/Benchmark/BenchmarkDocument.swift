import Foundation
import QACore

/// The benchmark result, as `mobile_demo/contract/benchmark.schema.json` wants it.
public struct BenchmarkDocument: Sendable {
    /// A row for the Benchmark screen, in ns.
    public struct Row: Sendable, Hashable {
        public let name: String
        public let length: Int?
        public let median: Int
        public let p90: Int
    }

    public let json: JSONValue
    public let summary: [Row]

    public var bytes: [UInt8] { JSONWriter.bytes(json) + [UInt8(ascii: "\n")] }

    /// Whether it was measured to the end.
    public let isComplete: Bool
    /// Why not, or nothing.
    public let reason: String

    init(_ run: BenchmarkRun) {
        isComplete = run.failure == nil
        reason = run.failure ?? ""
        let timed = run.check?.passed == true
        summary = timed ? Self.summary(run) : []
        json = Self.object([
            "schema_version": .integer(1),
            "created": .string(Self.timestamp(run.created)),
            "status": .string(isComplete ? "complete" : "partial"),
            "reason": Self.text(reason, most: 2000),
            // Where nothing ran there is nothing to have seen.
            "evidence": .string(
                run.check == nil ? "not run" : run.device.isVirtual ? "host" : "phone"),
            "source": Self.text("OnDeviceQA \(run.appVersion)"),
            "device": Self.device(run),
            "artifact": Self.artifact(run.manifest),
            "runtime": [
                "name": Self.text(run.engine?.name ?? run.manifest.artifact.target),
                "version": Self.text(run.engine?.version ?? ""),
                "accelerator": Self.text(run.engine?.accelerator ?? "none"),
            ],
            "protocol": Self.object([
                "threads": run.engine?.threads.map { .integer($0) },
                "warmup": .string(BenchmarkProtocol.warmupRule),
                "iterations": .integer(run.iterations),
                "order": .string("alone"),
                "timer": .string(Clocks.systemName),
                "load_cold": .string(BenchmarkProtocol.loadCold),
            ]),
            "golden": Self.golden(run.check, run.failure),
            "measurements": .array(timed ? Self.measurements(run) : []),
            "memory": run.memory.map { memory in
                Self.object([
                    "peak_bytes": .integer(max(memory.peak, 1)),
                    "method": Self.text(memory.method),
                ])
            },
        ])
    }

    // MARK: - Parts

    private static func device(_ run: BenchmarkRun) -> JSONValue {
        let device = run.device
        return object([
            "kind": .string("ios"),
            "name": text(device.name),
            "virtual": .bool(device.isVirtual),
            "os": text(device.os),
            "os_version": text(device.osVersion),
            "cores": .integer(max(device.cores, 1)),
            "memory_bytes": .integer(max(device.memoryBytes, 1)),
            "before": state(run.before),
            "after": state(run.after),
        ])
    }

    private static func state(_ state: DeviceState) -> JSONValue {
        object([
            "thermal": state.thermal.map { text($0) },
            "battery_percent": state.batteryPercent.map { .number(min(max($0, 0), 100)) },
            "charging": state.charging.map { .bool($0) },
            "power_mode": state.lowPower.map { .string($0 ? "low_power" : "normal") },
        ])
    }

    private static func artifact(_ manifest: Manifest) -> JSONValue {
        let artifact = manifest.artifact
        return [
            "model": text(manifest.model.name), "task": text(manifest.task),
            "target": text(artifact.target), "scheme": text(artifact.scheme),
            "lengths": .array(artifact.lengths.map { .integer($0) }),
            "sha256": .string(artifact.sha256), "bytes": .integer(artifact.bytes),
            "params": .integer(manifest.model.params),
            "model_sha256": .string(manifest.model.sha256),
            "content_key": .string(manifest.contentKey),
        ]
    }

    private static func golden(_ check: ModelCheck?, _ failure: String?) -> JSONValue {
        guard let check else {
            return ["status": .string("not_run"), "reason": text(failure ?? "", most: 2000)]
        }
        return object([
            "status": .string(check.passed ? "passed" : "failed"),
            "checked": .integer(check.checked),
            "max_abs": check.maxAbs.map { .number($0) },
            "reason": text(check.failure ?? "", most: 2000),
        ])
    }

    private static func measurements(_ run: BenchmarkRun) -> [JSONValue] {
        var found = [
            measurement("load_cold", nil, run.coldLoads),
            measurement("first_inference", run.firstLength, run.firstInference),
            measurement("load_warm", nil, run.warmLoads),
        ]
        for runs in run.runs {
            for (kind, stage) in [
                ("end_to_end", \StageTimes.total), ("model_only", \.infer),
                ("tokenize", \.tokenize),
                ("decode", \.decode),
            ] {
                found.append(
                    measurement(
                        kind, runs.length, runs.samples.map { $0[keyPath: stage] },
                        warmup: runs.warmup.count, stable: runs.stable))
            }
        }
        return found.compactMap(\.self)
    }

    /// Nil without samples, which the schema does not allow.
    private static func measurement(
        _ kind: String, _ length: Int?, _ samples: [Int], warmup: Int = 0, stable: Bool? = nil
    ) -> JSONValue? {
        if samples.isEmpty { return nil }
        return object([
            "kind": .string(kind),
            "length": length.map { .integer($0) },
            "unit": .string("ns"),
            // A stage may be shorter than the clock's step.
            "samples": .array(samples.map { .integer(max($0, 1)) }),
            "warmup_runs": .integer(warmup),
            "stable": stable.map { .bool($0) },
        ])
    }

    private static func summary(_ run: BenchmarkRun) -> [Row] {
        func row(_ name: String, _ length: Int?, _ samples: [Int]) -> Row? {
            Statistics(samples.map(Double.init)).map {
                Row(name: name, length: length, median: Int($0.median), p90: Int($0.p90))
            }
        }
        let lengths = run.runs.flatMap { runs in
            [
                row("Text to answer", runs.length, runs.samples.map(\.total)),
                row("Model only", runs.length, runs.samples.map(\.infer)),
            ]
        }
        return (lengths + [row("Load", nil, run.coldLoads)]).compactMap(\.self)
    }

    // MARK: - Values

    /// Members without a value are left out.
    private static func object(_ members: KeyValuePairs<String, JSONValue?>) -> JSONValue {
        .object(members.compactMap { name, value in value.map { JSONMember(name, $0) } })
    }

    /// Texts of the document have no control characters, and an end.
    private static func text(_ text: String, most: Int = 200) -> JSONValue {
        let kept = CodePoints(text).values.map { $0 < 0x20 || $0 == 0x7F ? 0x20 : $0 }
        return .string(CodePoints(Array(kept.prefix(most))))
    }

    private static func timestamp(_ date: Date) -> String {
        let formatter = ISO8601DateFormatter()
        formatter.formatOptions = [.withInternetDateTime]
        return formatter.string(from: date)
    }
}
