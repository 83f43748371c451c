package dev.ondevice.qa

import android.content.pm.PackageManager
import androidx.test.ext.junit.runners.AndroidJUnit4
import androidx.test.platform.app.InstrumentationRegistry
import dev.ondevice.core.Benchmark
import dev.ondevice.core.BenchmarkSubject
import dev.ondevice.core.ModelCheck
import dev.ondevice.core.QuestionAnswering
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNull
import org.junit.Test
import org.junit.runner.RunWith

/** On a phone or an emulator: every embedded bundle gives its goldens' answers. */
@RunWith(AndroidJUnit4::class)
class BundlesTest {
    private val context = InstrumentationRegistry.getInstrumentation().targetContext
    private val store = BundleStore(context.assets)

    @Test
    fun everyBundlePassesItsGoldens() {
        val names = store.names()
        assertFalse("no bundle is embedded: run ondevice embed first", names.isEmpty())
        for (name in names) {
            val bundle = store.open(name)
            val tokenizer = bundle.tokenizer()
            Engines.loader(context, store, name, bundle)().use { engine ->
                val answering = QuestionAnswering(bundle.manifest, tokenizer, engine)
                val report = ModelCheck(tokenizer, engine, answering).run(bundle.goldens())
                assertNull("$name: ${report.failure}", report.failure)
            }
        }
    }

    @Test
    fun benchmarkRunsToItsEnd() {
        val name = store.names().first()
        val bundle = store.open(name)
        val passage = store.passages().first()
        val subject = BenchmarkSubject(
            bundle,
            Engines.loader(context, store, name, bundle),
            passage.questions.first(),
            passage.context,
        )
        val run = Benchmark(subject, AndroidPhone(context), ITERATIONS)
            .run("2026-01-01T00:00:00Z", "test") { _, _ -> }
        assertEquals("", run.reason)
        assertNull("${run.check?.failure}", run.check?.failure)
        assertEquals(bundle.manifest.artifact.lengths.size, run.runs.size)
    }

    @Test
    fun theAppAsksForNoPermission() {
        val packages = context.packageManager
        val info = packages.getPackageInfo(context.packageName, PackageManager.GET_PERMISSIONS)
        assertEquals(emptyList<String>(), info.requestedPermissions.orEmpty().toList())
    }

    private companion object {
        const val ITERATIONS = 3
    }
}
