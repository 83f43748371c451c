package dev.ondevice.qa

import androidx.test.ext.junit.runners.AndroidJUnit4
import androidx.test.platform.app.InstrumentationRegistry
import dev.ondevice.core.Benchmark
import dev.ondevice.core.BenchmarkDocument
import dev.ondevice.core.BenchmarkProtocol
import dev.ondevice.core.BenchmarkSubject
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNotNull
import org.junit.Assert.assertNull
import org.junit.Test
import org.junit.runner.RunWith
import java.io.File
import java.time.Instant
import java.time.temporal.ChronoUnit

/**
 * Benchmark every embedded bundle and leave `benchmark-NAME.json` under the app's external files,
 * where a device farm fetches it from. All run in one process, so that only the first has a cold
 * load and its memory's peak: for those of others run this with one bundle embedded.
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
        for (name in names) {
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
            val run = Benchmark(subject, AndroidPhone(context), BenchmarkProtocol.LEAST_ITERATIONS)
                .run(created, "${context.packageName} $version") { _, _ -> }
            // Written before it is judged: a partial result says why it is one.
            File(directory, "benchmark-$name.json").writeText(BenchmarkDocument.write(run))
            assertEquals("$name: ${run.reason}", "", run.reason)
            assertNotNull("$name: its goldens were not run", run.check)
            assertNull("$name: ${run.check?.failure}", run.check?.failure)
            assertEquals(name, bundle.manifest.artifact.lengths.size, run.runs.size)
        }
    }
}
