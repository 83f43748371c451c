package dev.ondevice.qa

import android.app.Activity
import android.content.Intent
import android.os.Bundle
import android.util.Log
import android.view.View
import android.view.WindowManager
import android.widget.ArrayAdapter
import android.widget.Button
import android.widget.ProgressBar
import android.widget.Spinner
import android.widget.TextView
import dev.ondevice.core.Benchmark
import dev.ondevice.core.BenchmarkDocument
import dev.ondevice.core.BenchmarkProtocol
import dev.ondevice.core.BenchmarkRun
import dev.ondevice.core.BenchmarkSubject
import dev.ondevice.core.CoreException
import dev.ondevice.core.EngineException
import dev.ondevice.core.Statistics
import java.io.File
import java.io.FileOutputStream
import java.io.IOException
import java.time.Instant
import java.time.temporal.ChronoUnit
import java.util.concurrent.atomic.AtomicBoolean

/**
 * Benchmark a bundle, by hand or from adb:
 *
 *     adb shell am start -W -S -n dev.ondevice.qa/.BenchmarkActivity --ei iterations 50 --es bundle NAME
 *     adb shell run-as dev.ondevice.qa cat files/benchmark.json
 *
 * `benchmark.json` is there when the run has ended, and whole; `benchmark.error` is there instead
 * when it could not begin. The phone must be unlocked: a run ends when the screen is left.
 */
class BenchmarkActivity : Activity() {
    private lateinit var store: BundleStore
    private lateinit var modelSpinner: Spinner
    private lateinit var startButton: Button
    private lateinit var stopButton: Button
    private lateinit var shareButton: Button
    private lateinit var bar: ProgressBar
    private lateinit var resultText: TextView
    private var document: String? = null

    // Why it is to end, if it is.
    @Volatile
    private var stopReason: String? = null

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.activity_benchmark)
        window.addFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON)
        store = BundleStore(assets)
        modelSpinner = findViewById(R.id.model)
        startButton = findViewById(R.id.start)
        stopButton = findViewById(R.id.stop)
        shareButton = findViewById(R.id.share)
        bar = findViewById(R.id.bar)
        resultText = findViewById(R.id.result)
        val names = store.names()
        modelSpinner.adapter =
            ArrayAdapter(this, android.R.layout.simple_spinner_dropdown_item, names)
        startButton.setOnClickListener { begin(modelSpinner.selectedItem as? String, iterations()) }
        stopButton.setOnClickListener { stopReason = getString(R.string.stopped) }
        shareButton.setOnClickListener { share() }
        if (names.isEmpty()) {
            resultText.setText(R.string.no_bundles)
            startButton.isEnabled = false
        }
        // Only what adb asked for starts by itself, and only once.
        val asked = intent.getStringExtra(EXTRA_BUNDLE)
        if (asked != null && savedInstanceState == null) {
            modelSpinner.setSelection(maxOf(names.indexOf(asked), 0))
            begin(asked, iterations())
        }
    }

    // Behind another app the phone gives it fewer and slower cores.
    override fun onStop() {
        stopReason = getString(R.string.left)
        super.onStop()
    }

    private fun iterations(): Int = BenchmarkProtocol.iterations(
        intent.getIntExtra(EXTRA_ITERATIONS, BenchmarkProtocol.LEAST_ITERATIONS),
    )

    private fun begin(name: String?, iterations: Int) {
        if (name == null) return
        // Two runs at once would each measure the other, and write the same file.
        if (!running.compareAndSet(false, true)) {
            resultText.setText(R.string.already_running)
            return
        }
        stopReason = null
        document = null
        startButton.isEnabled = false
        stopButton.isEnabled = true
        shareButton.isEnabled = false
        bar.visibility = View.VISIBLE
        resultText.setText(R.string.working)
        File(filesDir, RESULT).delete()
        File(filesDir, ERROR).delete()
        // After the question that is being answered, and without the models of the other screens.
        Models.worker.execute {
            Models.closeAll()
            measure(name, iterations)
        }
    }

    private fun measure(name: String, iterations: Int) {
        val text = try {
            val run = run(name, iterations)
            val written = BenchmarkDocument.write(run)
            replace(RESULT, written)
            document = written
            summary(name, run)
        } catch (error: CoreException) {
            give(error)
        } catch (error: EngineException) {
            give(error)
        } catch (error: IOException) {
            give(error)
        } finally {
            running.set(false)
        }
        runOnUiThread {
            resultText.text = text
            bar.visibility = View.INVISIBLE
            startButton.isEnabled = true
            stopButton.isEnabled = false
            shareButton.isEnabled = document != null
        }
    }

    private fun run(name: String, iterations: Int): BenchmarkRun {
        val bundle = store.open(name)
        val passage = store.passages().first()
        val subject = BenchmarkSubject(
            bundle = bundle,
            openEngine = Engines.loader(applicationContext, store, name, bundle),
            question = passage.questions.first(),
            passage = passage.context,
            fresh = !Engines.loaded,
        )
        val benchmark = Benchmark(
            subject,
            AndroidPhone(applicationContext),
            iterations,
            checkpoint = { stopReason?.let { throw EngineException(it) } },
        )
        val version = packageManager.getPackageInfo(packageName, 0).versionName
        val created = Instant.now().truncatedTo(ChronoUnit.SECONDS).toString()
        return benchmark.run(created, "$packageName $version") { stage, percent ->
            runOnUiThread {
                bar.progress = percent
                resultText.text = getString(R.string.progress, stage, percent)
            }
        }
    }

    /** Say what went wrong, on the screen and to adb. */
    private fun give(error: Exception): String {
        val message = error.message.orEmpty()
        Log.e(TAG, message, error)
        try {
            replace(ERROR, message)
        } catch (second: IOException) {
            Log.e(TAG, "the error cannot be written", second)
        }
        return getString(R.string.failed, message)
    }

    /** Write a file, whole or not at all: adb may read it at any moment. */
    @Throws(IOException::class)
    private fun replace(name: String, content: String) {
        val partial = File(filesDir, "$name.partial")
        FileOutputStream(partial).use {
            it.write(content.toByteArray())
            it.fd.sync()
        }
        if (!partial.renameTo(File(filesDir, name))) throw IOException("$name cannot be put into place")
    }

    private fun summary(name: String, run: BenchmarkRun): String {
        val golden = run.check?.let { it.failure ?: getString(R.string.passed) }
            ?: getString(R.string.not_run)
        val lines = run.runs.map { runs ->
            val times = runs.samples.map { it.infer / 1e6 }.toDoubleArray()
            val statistics = Statistics.of(times)
            getString(R.string.benchmark_line, runs.length, statistics.median, statistics.p90)
        }
        val rest = lines + listOf(run.reason).filter { it.isNotEmpty() }
        return getString(R.string.benchmark_done, name, golden, rest.joinToString("\n"))
    }

    private fun share() {
        val text = document ?: return
        if (text.length > MOST_SHARED) {
            resultText.setText(R.string.too_long)
            return
        }
        val send = Intent(Intent.ACTION_SEND)
            .setType("text/plain")
            .putExtra(Intent.EXTRA_TITLE, RESULT)
            .putExtra(Intent.EXTRA_TEXT, text)
        startActivity(Intent.createChooser(send, getString(R.string.share)))
    }

    private companion object {
        // UTF-16 units that a share action can carry: Android limits all of it to about 1 MB.
        const val MOST_SHARED = 200_000
        const val EXTRA_BUNDLE = "bundle"
        const val EXTRA_ITERATIONS = "iterations"
        const val RESULT = "benchmark.json"
        const val ERROR = "benchmark.error"
        const val TAG = "ondevice"

        // In this process, whichever activity began it.
        val running = AtomicBoolean()
    }
}
