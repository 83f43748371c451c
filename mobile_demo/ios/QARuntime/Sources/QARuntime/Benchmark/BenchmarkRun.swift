import Foundation
import QACore

/// What one run of the benchmark found, before it becomes a document.
struct BenchmarkRun {
    let manifest: Manifest
    let device: Device
    let appVersion: String
    let iterations: Int
    let created: Date
    var engine: EngineInfo?
    /// Whether no model was loaded before in this process: the most memory that it ever held may
    /// otherwise have been another's.
    var isCold = false
    var before = DeviceState()
    var after = DeviceState()
    var coldLoads: [Int] = []
    var warmLoads: [Int] = []
    var firstLength: Int?
    var firstInference: [Int] = []
    var check: ModelCheck?
    var runs: [TimedRuns] = []
    var memory: Memory?
    /// Why it ended early.
    var failure: String?
}

/// What the Benchmark screen shows while it runs.
public struct BenchmarkProgress: Sendable, Equatable {
    /// What is going on, for the user.
    public let step: String
    /// 0 to 1.
    public let share: Double

    public init(step: String, share: Double) {
        self.step = step
        self.share = share
    }
}

/// Measures one bundle: load, goldens, and each length from text to answer.
public struct BenchmarkRunner: Sendable {
    /// The caller's surroundings; tests bring made-up ones.
    public struct Environment: Sendable {
        public var prepare: Engines.Preparer
        public var load: Engines.Loader
        /// Whether this process has loaded a model before: then no load in it is a cold one.
        public var hasLoaded: @Sendable () -> Bool
        public var device: Device
        public var state: @Sendable () async -> DeviceState
        public var memory: @Sendable () -> Memory?
        public var now: Clock
        public var pause: @Sendable () -> Void
        public var appVersion: String

        public init(
            prepare: @escaping Engines.Preparer = Engines.prepare,
            load: @escaping Engines.Loader = Engines.load,
            hasLoaded: @escaping @Sendable () -> Bool = Engines.hasLoaded,
            device: Device = DeviceProbe.device(),
            state: @escaping @Sendable () async -> DeviceState,
            memory: @escaping @Sendable () -> Memory? = DeviceProbe.memory,
            now: @escaping Clock = Clocks.system,
            pause: @escaping @Sendable () -> Void = { Thread.sleep(forTimeInterval: 0.01) },
            appVersion: String
        ) {
            self.prepare = prepare
            self.load = load
            self.hasLoaded = hasLoaded
            self.device = device
            self.state = state
            self.memory = memory
            self.now = now
            self.pause = pause
            self.appVersion = appVersion
        }
    }

    private let bundle: ModelBundle
    private let question: String
    private let passage: String
    private let iterations: Int
    private let environment: Environment

    /// - Parameters:
    ///   - bundle: with its files verified.
    ///   - passage: what is repeated until it fills a length.
    public init(
        bundle: ModelBundle, question: String, passage: String,
        iterations: Int = BenchmarkProtocol.leastIterations, environment: Environment
    ) {
        self.bundle = bundle
        self.question = question
        self.passage = passage
        self.iterations = max(iterations, 1)
        self.environment = environment
    }

    /// Measure; what went wrong, cancelling included, is in the document.
    ///
    /// Called off the main actor: it keeps its thread busy.
    public func run(
        progress: @escaping @Sendable (BenchmarkProgress) -> Void = { _ in }
    ) async -> BenchmarkDocument {
        var run = BenchmarkRun(
            manifest: bundle.manifest, device: environment.device,
            appVersion: environment.appVersion, iterations: iterations, created: Date())
        run.before = await environment.state()
        do {
            try await measure(&run, progress)
        } catch is CancellationError {
            run.failure = "it was cancelled"
        } catch {
            run.failure = "\(error)"
        }
        run.after = await environment.state()
        if run.isCold { run.memory = run.memory ?? environment.memory() }
        return BenchmarkDocument(run)
    }

    private func measure(
        _ run: inout BenchmarkRun, _ progress: (BenchmarkProgress) -> Void
    ) async throws {
        let lengths = bundle.manifest.artifact.lengths.sorted()
        let tokenizer = try bundle.tokenizer()
        let goldens = try Goldens.read(bundle)

        progress(BenchmarkProgress(step: "Loading", share: 0))
        try await environment.prepare(bundle)
        try Task.checkCancellation()
        run.isCold = !environment.hasLoaded()
        let loaded = try timed { try environment.load(bundle) }
        if run.isCold { run.coldLoads = [loaded.time] }
        run.engine = loaded.result.engine
        let pipeline = try Pipeline(
            manifest: bundle.manifest, tokenizer: tokenizer, model: loaded.result,
            now: environment.now)
        let workloads = try lengths.map { length in
            (length, try pair(tokenizer, length), try Workload.options(length))
        }
        // The first run after a cold load counts as such, so it comes before the goldens. If these
        // fail, it is dropped.
        if let (length, pair, options) = workloads.first {
            let reply = try pipeline.answer(
                question: pair.question, context: pair.context, options: options, at: length)
            if run.isCold { (run.firstLength, run.firstInference) = (length, [reply.times.infer]) }
        }

        progress(BenchmarkProgress(step: "Comparing goldens", share: 0.02))
        let check = ModelCheck.run(goldens, pipeline: pipeline)
        run.check = check
        guard check.passed else {
            run.failure = "it does not give its goldens' answers here, so it was not timed"
            return
        }

        for (place, (length, pair, options)) in workloads.enumerated() {
            try await stopIfTooHot()
            let runs = try BenchmarkProtocol.time(
                length: length, iterations: iterations,
                progress: { done in
                    let part = Double(done) / Double(iterations)
                    progress(
                        BenchmarkProgress(
                            step: "\(length) tokens: run \(done) of \(iterations)",
                            share: 0.05 + 0.85 * (Double(place) + part) / Double(workloads.count)))
                },
                pause: environment.pause,
                run: {
                    try pipeline.answer(
                        question: pair.question, context: pair.context, options: options,
                        at: length
                    ).times
                })
            run.runs.append(runs)
        }
        // Before it is loaded again: for a moment there are then two in memory.
        if run.isCold { run.memory = environment.memory() }
        progress(BenchmarkProgress(step: "Loading again", share: 0.92))
        for _ in 0..<BenchmarkProtocol.warmLoads {
            try Task.checkCancellation()
            run.warmLoads.append(try timed { try environment.load(bundle) }.time)
        }
        progress(BenchmarkProgress(step: "Done", share: 1))
    }

    /// From "serious" on the system itself slows everything down.
    private func stopIfTooHot() async throws(EngineError) {
        let thermal = await environment.state().thermal
        if thermal == "serious" || thermal == "critical" {
            throw EngineError(
                "the phone became too hot to go on (thermal state \(thermal ?? ""))")
        }
    }

    private func pair(
        _ tokenizer: WordPieceTokenizer, _ length: Int
    ) throws(QAError) -> (question: String, context: String) {
        try Workload.fullPair(
            tokenizer: tokenizer, question: question, passage: passage, length: length)
    }

    private func timed<Result>(_ body: () throws -> Result) rethrows -> (
        result: Result, time: Int
    ) {
        let begin = environment.now()
        let result = try body()
        return (result, Int(environment.now() - begin))
    }
}
