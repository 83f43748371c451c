package dev.ondevice.core

/** What a phone tells of itself at one moment; null where it does not. */
data class DeviceState(
    val thermal: String? = null,
    val temperatureCelsius: Double? = null,
    val batteryPercent: Double? = null,
    val charging: Boolean? = null,
    val lowPower: Boolean? = null,
)

/** A phone, before and after. */
data class Device(
    val name: String,
    val virtual: Boolean,
    val soc: String?,
    val osVersion: String,
    val cores: Int,
    val memoryBytes: Long?,
    val before: DeviceState,
    val after: DeviceState,
)

/** What was measured; what did not come about is empty, and `reason` says why. */
class BenchmarkRun(
    val created: String,
    val reason: String,
    val source: String,
    val iterations: Int,
    val device: Device,
    val manifest: Manifest,
    val engine: EngineInfo?,
    val check: CheckReport?,
    val coldLoad: Long? = null,
    val firstInference: Pair<Int, Long>? = null,
    val warmLoads: List<Long> = emptyList(),
    val runs: List<TimedRuns> = emptyList(),
    val peakBytes: Long? = null,
    val notes: List<String> = emptyList(),
)

/** Writes a benchmark result as mobile_demo/contract/benchmark.schema.json wants it. */
object BenchmarkDocument {
    private const val LOAD_COLD =
        "the first load in a fresh process, with every length made ready to run (LiteRT makes room " +
            "for a length at its first run only); the file was just read to compare its hash, so it " +
            "is in the system's page cache"

    fun write(run: BenchmarkRun): String {
        val failure = run.check?.failure
        val measurements = if (run.check == null || failure != null) {
            emptyList() // times of a model that was not seen to answer rightly
        } else {
            measurements(run)
        }
        val reason = when {
            failure != null -> "the goldens failed: $failure"
            run.reason.isEmpty() && measurements.isEmpty() -> "nothing was timed"
            else -> run.reason
        }
        return JsonWriter.write(
            mapOf(
                "schema_version" to 1,
                "created" to run.created,
                "status" to if (reason.isEmpty()) "complete" else "partial",
                "reason" to plain(reason),
                "evidence" to when {
                    measurements.isEmpty() -> "not run"
                    run.device.virtual -> "host"
                    else -> "phone"
                },
                "source" to plain(run.source),
                "device" to device(run.device),
                "artifact" to artifact(run.manifest),
                "runtime" to runtime(run),
                "protocol" to protocol(run),
                "golden" to golden(run.check, reason),
                "measurements" to measurements,
                "memory" to run.peakBytes?.let { mapOf("peak_bytes" to it, "method" to "VmHWM") },
                "notes" to run.notes.map { plain(it) },
            ),
        )
    }

    /** Someone else's text as one line that the schema takes. */
    private fun plain(text: String): String =
        text.map { if (it < ' ' || it == '\u007F') ' ' else it }.joinToString("").take(500)

    private fun device(device: Device) = mapOf(
        "kind" to "android",
        "name" to plain(device.name).ifEmpty { "unknown" },
        "virtual" to device.virtual,
        "soc" to device.soc?.let { plain(it) },
        "os" to "Android",
        "os_version" to plain(device.osVersion),
        "cores" to device.cores,
        "memory_bytes" to device.memoryBytes,
        "before" to state(device.before),
        "after" to state(device.after),
    )

    private fun state(state: DeviceState) = mapOf(
        "thermal" to state.thermal,
        "temperature_celsius" to state.temperatureCelsius,
        "battery_percent" to state.batteryPercent,
        "charging" to state.charging,
        "power_mode" to state.lowPower?.let { if (it) "low_power" else "normal" },
    )

    private fun artifact(manifest: Manifest) = mapOf(
        "model" to manifest.model.name,
        "task" to manifest.task,
        "target" to manifest.artifact.target,
        "scheme" to manifest.artifact.scheme,
        "lengths" to manifest.artifact.lengths,
        "sha256" to manifest.artifact.sha256,
        "bytes" to manifest.artifact.bytes,
        "params" to manifest.model.params,
        "model_sha256" to manifest.model.sha256,
        "content_key" to manifest.contentKey,
    )

    private fun runtime(run: BenchmarkRun) = mapOf(
        "name" to plain(run.engine?.name ?: run.manifest.artifact.target),
        "version" to plain(run.engine?.version.orEmpty()),
        "accelerator" to plain(run.engine?.accelerator ?: "cpu"),
    )

    private fun protocol(run: BenchmarkRun) = mapOf(
        "threads" to run.engine?.threads,
        "warmup" to BenchmarkProtocol.WARMUP_RULE,
        "iterations" to run.iterations,
        "order" to "alone",
        "timer" to BenchmarkProtocol.TIMER,
        "load_cold" to LOAD_COLD,
    )

    private fun golden(check: CheckReport?, reason: String) = when {
        check == null -> mapOf("status" to "not_run", "reason" to plain(reason))
        check.failure == null -> mapOf(
            "status" to "passed",
            "checked" to check.checked,
            "max_abs" to check.maxAbs,
        )
        else -> mapOf(
            "status" to "failed",
            "checked" to check.checked,
            "max_abs" to check.maxAbs,
            "reason" to plain(check.failure),
        )
    }

    private fun measurements(run: BenchmarkRun): List<Map<String, Any?>> {
        val result = ArrayList<Map<String, Any?>>()
        run.coldLoad?.let { result += measurement("load_cold", null, listOf(it)) }
        if (run.warmLoads.isNotEmpty()) result += measurement("load_warm", null, run.warmLoads)
        run.firstInference?.let { (length, time) ->
            result += measurement("first_inference", length, listOf(time))
        }
        for (runs in run.runs) {
            val settled = mapOf("warmup_runs" to runs.warmup.size, "stable" to runs.stable)
            val stages = mapOf<String, (StageTimes) -> Long>(
                "end_to_end" to { it.total },
                "model_only" to { it.infer },
                "tokenize" to { it.tokenize },
                "decode" to { it.decode },
            )
            for ((kind, stage) in stages) {
                result += measurement(kind, runs.length, runs.samples.map(stage)) + settled
            }
        }
        return result
    }

    private fun measurement(kind: String, length: Int?, samples: List<Long>) = mapOf(
        "kind" to kind,
        "length" to length,
        // A clock of coarse steps may show none between two looks; the schema wants a time.
        "samples" to samples.map { maxOf(it, 1L) },
    )
}
