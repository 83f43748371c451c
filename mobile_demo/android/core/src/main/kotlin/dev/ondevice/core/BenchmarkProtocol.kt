package dev.ondevice.core

import kotlin.math.abs

/** The runs at one length: those of the warm-up, and the timed ones in their order. */
class TimedRuns(
    val length: Int,
    val warmup: List<StageTimes>,
    val stable: Boolean,
    val samples: List<StageTimes>,
)

/**
 * When runs count: after their times have settled. The same rule as `ondevice/bench/protocol.py`.
 *
 * `pause` waits before each run: thread pools go on spinning for a while after one.
 */
class BenchmarkProtocol(
    private val iterations: Int,
    private val pause: () -> Unit = PAUSE,
) {
    init {
        require(iterations >= 1) { "$iterations iterations" }
    }

    /** Warm up, then time; `progress` hears of each run, and of how many there are to come. */
    fun time(length: Int, progress: (Int, Int) -> Unit, run: () -> StageTimes): TimedRuns {
        val warmup = ArrayList<StageTimes>()
        var stable = false
        while (warmup.size < WARMUP_MOST && !stable) {
            pause()
            warmup.add(run())
            stable = isStable(warmup.map { it.total })
        }
        val samples = List(iterations) { done ->
            progress(done, iterations)
            pause()
            run()
        }
        progress(iterations, iterations)
        return TimedRuns(length, warmup, stable, samples)
    }

    companion object {
        const val LEAST_ITERATIONS = 50
        const val MOST_ITERATIONS = 1_000
        const val WARM_LOADS = 10
        const val TIMER = "System.nanoTime"
        const val WARMUP_RULE =
            "until the median of 3 runs is within 5% of that of the 3 before, at most 30 runs"
        private const val WINDOW = 3
        private const val TOLERANCE = 0.05
        private const val WARMUP_MOST = 30
        private const val PAUSE_MS = 10L
        val PAUSE: () -> Unit = { Thread.sleep(PAUSE_MS) }

        /** The number of timed runs for one that was asked for: as near to it as there may be. */
        fun iterations(asked: Int): Int = asked.coerceIn(LEAST_ITERATIONS, MOST_ITERATIONS)

        /** Whether the last runs take as long as those before them. */
        fun isStable(times: List<Long>): Boolean {
            if (times.size < 2 * WINDOW) return false
            val before = median(times.subList(times.size - 2 * WINDOW, times.size - WINDOW))
            val last = median(times.subList(times.size - WINDOW, times.size))
            return abs(last - before) <= TOLERANCE * before
        }

        private fun median(times: List<Long>): Double =
            Statistics.percentile(times.map { it.toDouble() }.sorted().toDoubleArray(), 0.5)
    }
}

/** A question and a context that together fill one window of a length, as far as tokens allow. */
object Workload {
    // More text than any length holds, and not so much that tokenizing it takes long.
    private const val REPEATS = 200
    private const val CHARACTERS_A_TOKEN = 40

    fun fullPair(
        tokenizer: WordPiece,
        question: String,
        passage: String,
        length: Int,
    ): Pair<String, String> {
        val options = QAOptions.forLength(length)
        val long = List(REPEATS) { passage }.joinToString(" ").take(CHARACTERS_A_TOKEN * length)
        val points = CodePoints.of(long)
        val windows = Windows(tokenizer)
        val questionPoints = CodePoints.of(question)
        val first = windows.cut(questionPoints, points, options)[0]
        for (last in first.contextEnd - 1 downTo first.contextStart) {
            val context = points.slice(0, first.ends[last])
            // Cut inside a word, its pieces may be others, and more.
            val cut = windows.cut(questionPoints, CodePoints.of(context), options)
            if (cut.size == 1) return question to context
        }
        throw CoreException(
            ErrorKind.BAD_REQUEST,
            "no context fits a window of $length tokens",
        )
    }
}
