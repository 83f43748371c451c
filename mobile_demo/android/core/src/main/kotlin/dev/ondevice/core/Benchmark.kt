package dev.ondevice.core

/** What a benchmark asks of the phone that it runs on. */
interface Phone {
    fun state(): DeviceState

    fun device(before: DeviceState, after: DeviceState): Device

    /** The most memory that the process ever held, bytes: of every model that it ever loaded. */
    fun peakBytes(): Long?
}

/**
 * What is measured, and with what text; `fresh` is false where the process has loaded a model before,
 * so that no load is cold, and the most memory that it held may have been the other model's.
 */
class BenchmarkSubject(
    val bundle: Bundle,
    val openEngine: () -> Engine,
    val question: String,
    val passage: String,
    val fresh: Boolean = true,
)

/**
 * Measures one bundle on this phone: cold load, first run, goldens, then timed runs length by
 * length, and warm loads. A bundle whose goldens fail is not timed; what ends a run early becomes
 * the result's reason. `checkpoint` is asked before each run and each load, and throws to end it.
 */
class Benchmark(
    private val subject: BenchmarkSubject,
    private val phone: Phone,
    private val iterations: Int,
    private val clock: () -> Long = System::nanoTime,
    private val pause: (() -> Unit)? = null,
    private val checkpoint: () -> Unit = {},
) {
    private val manifest = subject.bundle.manifest
    private var engineInfo: EngineInfo? = null
    private var check: CheckReport? = null
    private var coldLoad: Long? = null
    private var firstInference: Pair<Int, Long>? = null
    private var warmLoads: List<Long> = emptyList()
    private val runs = ArrayList<TimedRuns>()
    private var peakBytes: Long? = null
    private var reason = ""

    /** Run it; `progress` hears what is going on, and how far it is in percent. */
    fun run(created: String, source: String, progress: (String, Int) -> Unit): BenchmarkRun {
        val before = phone.state()
        try {
            measure(progress)
        } catch (error: CoreException) {
            reason = error.message
        } catch (error: EngineException) {
            reason = error.message
        }
        return BenchmarkRun(
            created = created,
            reason = reason,
            source = source,
            iterations = iterations,
            device = phone.device(before, phone.state()),
            manifest = manifest,
            engine = engineInfo,
            check = check,
            coldLoad = coldLoad,
            firstInference = firstInference,
            warmLoads = warmLoads,
            runs = runs,
            peakBytes = peakBytes,
        )
    }

    private fun measure(progress: (String, Int) -> Unit) {
        val tokenizer = subject.bundle.tokenizer()
        val goldens = subject.bundle.goldens()
        progress("load", 0)
        val (engine, load) = timedLoad()
        if (subject.fresh) coldLoad = load
        val failed = try {
            engine.use { measure(it, tokenizer, goldens, progress) }
        } finally {
            // Before it is loaded again, for which there may be two in memory.
            if (subject.fresh) peakBytes = phone.peakBytes()
        }
        if (failed || reason.isNotEmpty()) return
        progress("loads", ALL)
        warmLoads = List(BenchmarkProtocol.WARM_LOADS) {
            checkpoint()
            val (again, time) = timedLoad()
            again.close()
            time
        }
    }

    /** Measure what is loaded; whether its goldens failed. */
    private fun measure(
        engine: Engine,
        tokenizer: WordPiece,
        goldens: List<Golden>,
        progress: (String, Int) -> Unit,
    ): Boolean {
        engineInfo = engine.info
        val answering = QuestionAnswering(manifest, tokenizer, engine, clock)
        val passes = manifest.artifact.lengths.sorted().map { length ->
            length to pass(answering, tokenizer, length)
        }
        val first = passes[0].first to passes[0].second().infer
        if (subject.fresh) firstInference = first
        progress("goldens", 0)
        val report = ModelCheck(tokenizer, engine, answering, checkpoint).run(goldens)
        check = report
        if (report.failure == null) time(passes, progress)
        return report.failure != null
    }

    private fun timedLoad(): Pair<Engine, Long> {
        val begin = clock()
        val engine = subject.openEngine()
        return engine to clock() - begin
    }

    private fun pass(
        answering: QuestionAnswering,
        tokenizer: WordPiece,
        length: Int,
    ): () -> StageTimes {
        val (question, passage) = subject
            .run { Workload.fullPair(tokenizer, question, passage, length) }
        val options = QAOptions.forLength(length)
        return { answering.answer(question, passage, options, listOf(length)).times }
    }

    private fun time(passes: List<Pair<Int, () -> StageTimes>>, progress: (String, Int) -> Unit) {
        val waiting = pause ?: BenchmarkProtocol.PAUSE
        val protocol = BenchmarkProtocol(iterations) {
            checkpoint()
            waiting()
        }
        for ((place, pass) in passes.withIndex()) {
            val heat = phone.state().thermal
            if (heat in TOO_HOT) {
                reason = "the phone became too hot to go on (thermal status $heat)"
                return
            }
            val (length, run) = pass
            val share = { done: Int -> ALL * (place * iterations + done) / (passes.size * iterations) }
            runs += protocol.time(length, { done, _ -> progress("length $length", share(done)) }, run)
        }
    }

    private companion object {
        const val ALL = 100

        // PowerManager's words; from "severe" on the system itself slows everything down.
        val TOO_HOT = setOf("severe", "critical", "emergency", "shutdown")
    }
}
