package dev.ondevice.qa

import androidx.test.ext.junit.runners.AndroidJUnit4
import androidx.test.platform.app.InstrumentationRegistry
import dev.ondevice.core.Benchmark
import dev.ondevice.core.BenchmarkDocument
import dev.ondevice.core.BenchmarkProtocol
import dev.ondevice.core.BenchmarkRun
import dev.ondevice.core.BenchmarkSubject
import dev.ondevice.core.Passage
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNotNull
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import java.io.File
import java.time.Instant
import java.time.temporal.ChronoUnit

/**
 * Benchmark every embedded bundle and leave `benchmark-NAME.json` under the app's external files,
 * where a device farm fetches it from; `benchmark-NAME.error` where a bundle could not be measured.
 * What is wrong with one keeps no other from being measured: the test fails when all are done. All
 * run in one process, so that only the first has a cold load and its memory's peak: for those of
 * others run this with one bundle embedded.
 */
@RunWith(AndroidJUnit4::class)
class BenchmarkExport {
    private val context = InstrumentationRegistry.getInstrumentation().targetContext
    private val store = BundleStore(context.assets)

    @Test
    fun writeResults() {
        val names = store.names()
        assertFalse("no bundle is embedded: run ondevice embed first", names.isEmpty())
        val directory = context.getExternalFilesDir(null)
        assertNotNull("the device offers no external files", directory)
        val passage = store.passages().first()
        val failures = names.mapNotNull { name ->
            val left = File(directory, "benchmark-$name.json")
            val error = File(directory, "benchmark-$name.error")
            left.delete()
            error.delete()
            try {
                val run = measure(name, passage)
                // A partial result says why it is one.
                left.writeText(BenchmarkDocument.write(run))
                failure(run)?.let { "$name: $it" }
            } catch (thrown: Exception) {
                val message = thrown.message ?: thrown.toString()
                error.writeText(message)
                "$name: $message"
            }
        }
        assertTrue(failures.joinToString("; "), failures.isEmpty())
    }

    private fun measure(name: String, passage: Passage): BenchmarkRun {
        val bundle = store.open(name)
        val subject = BenchmarkSubject(
            bundle,
            Engines.loader(context, store, name, bundle),
            passage.questions.first(),
            passage.context,
            fresh = !Engines.loaded,
        )
        val version = context.packageManager.getPackageInfo(context.packageName, 0).versionName
        val created = Instant.now().truncatedTo(ChronoUnit.SECONDS).toString()
        return Benchmark(subject, AndroidPhone(context), BenchmarkProtocol.LEAST_ITERATIONS)
            .run(created, "${context.packageName} $version") { _, _ -> }
    }

    /** Why a run is not a whole one, or null. */
    private fun failure(run: BenchmarkRun): String? {
        val check = run.check
        return when {
            run.reason.isNotEmpty() -> run.reason
            check == null -> "its goldens were not run"
            check.failure != null -> check.failure
            run.runs.size != run.manifest.artifact.lengths.size ->
                "${run.runs.size} of ${run.manifest.artifact.lengths.size} lengths were timed"
            else -> null
        }
    }
}
