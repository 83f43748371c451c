package dev.ondevice.core

import kotlin.math.floor

/** What a series of samples comes to; percentiles by linear interpolation, as NumPy's default. */
data class Statistics(
    val count: Int,
    val mean: Double,
    val min: Double,
    val max: Double,
    val median: Double,
    val p90: Double,
    val p99: Double,
) {
    companion object {
        /** @throws CoreException there are no samples, or they are too large to sum up */
        fun of(samples: DoubleArray): Statistics {
            if (samples.isEmpty()) throw CoreException(ErrorKind.BAD_REQUEST, "there are no samples")
            val sorted = samples.sortedArray()
            val result = Statistics(
                count = sorted.size,
                mean = sorted.sum() / sorted.size,
                min = sorted.first(),
                max = sorted.last(),
                median = percentile(sorted, 0.5),
                p90 = percentile(sorted, 0.9),
                p99 = percentile(sorted, 0.99),
            )
            val figures = with(result) { listOf(mean, min, max, median, p90, p99) }
            if (!figures.all { it.isFinite() }) {
                throw CoreException(ErrorKind.BAD_REQUEST, "the samples are out of range")
            }
            return result
        }

        /** The value below which a fraction of the ascending samples lies. */
        fun percentile(sorted: DoubleArray, fraction: Double): Double {
            val place = (sorted.size - 1) * fraction
            val below = floor(place).toInt()
            val above = minOf(below + 1, sorted.size - 1)
            return sorted[below] + (sorted[above] - sorted[below]) * (place - below)
        }
    }
}
