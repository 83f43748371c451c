package dev.ondevice.core

import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertFalse
import kotlin.test.assertTrue

class BenchmarkTest {
    private fun times(total: Long) = StageTimes(1, total - 2, 1)

    @Test
    fun countsRunsOnceTheirTimesHaveSettled() {
        val totals = ArrayDeque(listOf(900L, 700, 500, 300, 110, 105, 101, 100, 100, 100))
        val runs = BenchmarkProtocol(5, pause = {}).time(LENGTH, { _, _ -> }) {
            times(totals.removeFirstOrNull() ?: 100)
        }
        assertTrue(runs.stable)
        assertEquals(10, runs.warmup.size)
        assertEquals(List(5) { 100L }, runs.samples.map { it.total })
    }

    @Test
    fun givesUpWaitingAndSaysSo() {
        var total = 1L
        val runs = BenchmarkProtocol(1, pause = {}).time(LENGTH, { _, _ -> }) {
            total *= 2
            times(total)
        }
        assertFalse(runs.stable)
        assertEquals(30, runs.warmup.size)
    }

    @Test
    fun tellsHowFarItIs() {
        val heard = ArrayList<Int>()
        BenchmarkProtocol(2, pause = {}).time(LENGTH, { done, _ -> heard += done }) { times(100) }
        assertEquals(listOf(0, 1, 2), heard)
    }

    @Test
    fun fillsAWindow() {
        val tokenizer = wordPiece()
        val (question, context) = Workload.fullPair(tokenizer, "ada?", "Rivers met in Rome.", LENGTH)
        val windows = Windows(tokenizer).cut(
            CodePoints.of(question),
            CodePoints.of(context),
            QAOptions.forLength(LENGTH),
        )
        assertEquals(1, windows.size)
        assertTrue(windows[0].size > LENGTH - 3, "${windows[0].size}")
    }

    @Test
    fun failedGoldensAreNotTimed() {
        val failed = sampleRun(CheckReport(3, 0.5, "outputs differ"), reason = "")
        val document = JsonReader(BenchmarkDocument.write(failed)).read() as JsonObject
        assertEquals(JsonArray(emptyList()), document.values["measurements"])
        assertEquals(JsonString("partial"), document.values["status"])
        assertEquals(JsonString("not run"), document.values["evidence"])
    }

    private class FakePhone(private val heat: String = "none") : Phone {
        override fun state() = DeviceState(thermal = heat)

        override fun device(before: DeviceState, after: DeviceState) =
            Device("Pixel", false, null, "14", 8, null, before, after)

        override fun peakBytes(): Long = 7
    }

    private fun run(
        heat: String = "none",
        goldens: String = "",
        fresh: Boolean = true,
        checkpoint: () -> Unit = {},
        engine: () -> Engine,
    ): BenchmarkRun {
        val bundle = Bundle.open(memoryBundle(goldens))
        val subject = BenchmarkSubject(bundle, engine, "ada?", "Rivers met in Rome.", fresh)
        var now = 0L
        val clock = { now += 100; now }
        val benchmark = Benchmark(subject, FakePhone(heat), 3, clock, pause = {}, checkpoint = checkpoint)
        return benchmark.run("2026-01-31T12:00:00Z", "test") { _, percent ->
            assertTrue(percent in 0..100)
        }
    }

    @Test
    fun measuresFromLoadToLoad() {
        val done = run { FakeEngine(5) }
        assertEquals("", done.reason)
        assertEquals(100L, done.coldLoad)
        assertEquals(7L, done.peakBytes)
        assertEquals(LENGTH to 100L, done.firstInference)
        assertEquals(BenchmarkProtocol.WARM_LOADS, done.warmLoads.size)
        assertEquals(listOf(3), done.runs.map { it.samples.size })
        assertEquals(6, done.runs[0].warmup.size)
    }

    @Test
    fun noLoadIsColdWhereAModelWasLoadedBefore() {
        val done = run(fresh = false) { FakeEngine(5) }
        assertEquals("", done.reason)
        assertEquals(null, done.coldLoad)
        assertEquals(null, done.firstInference)
        // The most that the process held may have been another model's.
        assertEquals(null, done.peakBytes)
        assertEquals(BenchmarkProtocol.WARM_LOADS, done.warmLoads.size)
    }

    @Test
    fun stopsBeforeAnyRunOrLoad() {
        // A golden, six runs to warm up, three timed ones, and the warm loads.
        val all = 1 + 6 + 3 + BenchmarkProtocol.WARM_LOADS
        for (place in 1..all) {
            var asked = 0
            val stopped = run(
                goldens = goldens()[0],
                checkpoint = { if (++asked == place) throw EngineException("it was stopped") },
            ) { FakeEngine(5) }
            assertEquals("it was stopped", stopped.reason)
            assertEquals(place, asked)
            assertEquals(if (place == 1) null else 1, stopped.check?.checked)
            assertEquals(null, stopped.check?.failure)
            assertTrue(stopped.warmLoads.isEmpty())
        }
        assertEquals(50, BenchmarkProtocol.iterations(-3))
        assertEquals(80, BenchmarkProtocol.iterations(80))
        assertEquals(BenchmarkProtocol.MOST_ITERATIONS, BenchmarkProtocol.iterations(1_000_000))
    }

    @Test
    fun aModelInUseHasPassedItsGoldens() {
        val bundle = Bundle.open(memoryBundle(goldens().joinToString("\n")))
        var open = 0
        fun counted(inner: Engine) = object : Engine by inner {
            init {
                open++
            }

            override fun close() {
                open--
            }
        }
        CheckedModel.open(bundle) { counted(FakeEngine(5)) }.use {
            assertEquals(2, it.goldens)
            assertEquals("Rome", it.answer("ada", "met in Rome").answers.first().text)
            assertEquals(1, open)
        }
        assertEquals(0, open)
        val failed = assertFailsWith<EngineException> {
            CheckedModel.open(bundle) { counted(FakeEngine(6)) }
        }
        assertTrue("golden" in failed.message, failed.message)
        assertEquals(0, open)
    }

    @Test
    fun saysWhyItEndsEarly() {
        assertTrue("too hot" in run(heat = "severe") { FakeEngine(5) }.reason)
        val none = run { throw EngineException("no such runtime") }
        assertEquals("no such runtime", none.reason)
        val wrong = """{"kind": "tokenize", "text": "a", "ids": [], "offsets": [], "utf16_offsets": []}"""
        val failed = run(goldens = wrong) { FakeEngine(5) }
        assertTrue("other ids" in failed.check?.failure.orEmpty())
        assertTrue(failed.runs.isEmpty() && failed.warmLoads.isEmpty())
    }

    /** Answers as it should `good` times, and then as `bad` does. */
    private class Turning(private var good: Int, private val bad: () -> Float) : Engine {
        private val inner = FakeEngine(5)
        override val info = inner.info

        override fun run(inputs: ModelInputs): Map<String, FloatArray> =
            if (good-- > 0) inner.run(inputs) else FakeEngine(5, bad()).run(inputs)

        override fun close() = Unit
    }

    private fun document(run: BenchmarkRun) =
        JsonReader(BenchmarkDocument.write(run)).read() as JsonObject

    private fun assertNothingMeasured(run: BenchmarkRun, status: String, reason: String) {
        val document = document(run)
        assertEquals(JsonArray(emptyList()), document.values["measurements"])
        assertEquals(JsonString("not run"), document.values["evidence"])
        val golden = (document.values["golden"] as JsonObject).values
        assertEquals(JsonString(status), golden["status"])
        assertTrue(reason in (golden["reason"] as JsonString).value, "$golden")
        assertTrue(reason in (document.values["reason"] as JsonString).value, "$document")
    }

    private val refuse = { throw EngineException("the runtime refused") }

    private fun goldens(): List<String> {
        val ones = List(LENGTH) { 1 }.joinToString(",")
        val run = """{"kind": "run", "length": $LENGTH, "valid": 1, """ +
            """"inputs": {"input_ids": [$ones]}, "outputs": {"start": [[-4]]}, "max_abs": 0.1, "min_cosine": null}"""
        val options = """{"max_length": $LENGTH, "doc_stride": 4, "max_query": 8, """ +
            """"max_answer": 6, "n_best": 3}"""
        val answer = """{"kind": "answer", "question": "ada", "context": "met in Rome", """ +
            """"options": $options, "windows": 1, "utf16": [7, 11], "margin": 1, """ +
            """"decisive": true, "answer": {"text": "Rome", "start": 7, "end": 11, "score": 10, "probability": 1}}"""
        return listOf(run, answer)
    }

    @Test
    fun goldensThatThrowAreFailedGoldens() {
        for (golden in goldens()) {
            assertEquals(null, run(goldens = golden) { FakeEngine(5) }.check?.failure)
            val refused = run(goldens = golden) { Turning(1, refuse) }
            assertEquals(1, refused.check?.checked)
            assertNothingMeasured(refused, "failed", "the runtime refused")
        }
        val nan = run(goldens = goldens()[1]) { Turning(1) { Float.NaN } }
        assertNothingMeasured(nan, "failed", "not finite")
    }

    @Test
    fun aFirstRunThatThrowsIsTheReason() {
        assertNothingMeasured(run { Turning(0, refuse) }, "not_run", "the runtime refused")
        assertNothingMeasured(run { Turning(0) { Float.NaN } }, "not_run", "not finite")
    }

    @Test
    fun outputsThatAreMissingOrNotFiniteFailWithoutLimitsToo() {
        val golden = goldens()[0].replace("0.1", "null").replace("[[-4]]", "[[1, 1, 1, 1, 1, 1]]")
        assertEquals(null, run(goldens = golden) { FakeEngine(5) }.check?.failure)
        val nan = run(goldens = golden) { Turning(1) { Float.NaN } }
        assertNothingMeasured(nan, "failed", "missing or not finite")
        val missing = run(goldens = golden.replace("start", "other")) { FakeEngine(5) }
        assertNothingMeasured(missing, "failed", "missing or not finite")
    }
}
