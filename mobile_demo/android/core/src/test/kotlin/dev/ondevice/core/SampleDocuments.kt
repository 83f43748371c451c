package dev.ondevice.core

internal fun sampleRun(check: CheckReport?, reason: String): BenchmarkRun {
    val state = DeviceState("none", 31.5, 80.0, charging = false, lowPower = false)
    val samples = List(BenchmarkProtocol.LEAST_ITERATIONS) { StageTimes(10, 1_000, 0) }
    return BenchmarkRun(
        created = "2026-01-31T12:00:00Z",
        reason = reason,
        source = "QA demo 1.0\n",
        iterations = BenchmarkProtocol.LEAST_ITERATIONS,
        device = Device("Pixel 8", false, "Tensor G3", "14", 9, 8_000_000_000, state, DeviceState()),
        manifest = Manifest.read(manifestText()),
        engine = EngineInfo("litert", "1.4.2", "xnnpack", 4).takeIf { check != null },
        check = check,
        coldLoad = 5_000_000,
        firstInference = LENGTH to 2_000_000,
        warmLoads = List(BenchmarkProtocol.WARM_LOADS) { 4_000_000L },
        runs = listOf(TimedRuns(LENGTH, List(6) { StageTimes(10, 1_000, 5) }, true, samples)),
        peakBytes = 300_000_000,
        notes = listOf("battery saver is off"),
    )
}

/** Print documents of runs that end in different ways, one a line, for the schema's own reader. */
fun main() {
    println(BenchmarkDocument.write(sampleRun(CheckReport(40, 1e-6, null), reason = "")))
    println(BenchmarkDocument.write(sampleRun(CheckReport(3, 0.5, "outputs\tdiffer"), reason = "")))
    val early = sampleRun(CheckReport(40, null, null), reason = "the phone became too hot")
    println(BenchmarkDocument.write(early))
    println(BenchmarkDocument.write(sampleRun(null, reason = "the runtime refused")))
}
