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
import kotlin.concurrent.thread

/**
 * Benchmark a bundle, by hand or from adb:
 *
 *     adb shell am start -W -S -n dev.ondevice.qa/.BenchmarkActivity --ei iterations 50 --es bundle NAME
 *     adb shell run-as dev.ondevice.qa cat files/benchmark.json
 *
 * `benchmark.json` is there when the run has ended, and whole; `benchmark.error` is there instead
 * when it could not begin.
 */
class BenchmarkActivity : Activity() {
    private lateinit var store: BundleStore
    private lateinit var modelSpinner: Spinner
    private lateinit var startButton: Button
    private lateinit var shareButton: Button
    private lateinit var bar: ProgressBar
    private lateinit var resultText: TextView
    private var document: String? = null

    @Volatile
    private var stopped = false

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.activity_benchmark)
        window.addFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON)
        store = BundleStore(assets)
        modelSpinner = findViewById(R.id.model)
        startButton = findViewById(R.id.start)
        shareButton = findViewById(R.id.share)
        bar = findViewById(R.id.bar)
        resultText = findViewById(R.id.result)
        val names = store.names()
        modelSpinner.adapter =
            ArrayAdapter(this, android.R.layout.simple_spinner_dropdown_item, names)
        startButton.setOnClickListener { begin(modelSpinner.selectedItem as? String, iterations()) }
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

    override fun onDestroy() {
        stopped = true
        super.onDestroy()
    }

    private fun iterations(): Int =
        intent.getIntExtra(EXTRA_ITERATIONS, BenchmarkProtocol.LEAST_ITERATIONS)
            .coerceIn(BenchmarkProtocol.LEAST_ITERATIONS, MOST_ITERATIONS)

    private fun begin(name: String?, iterations: Int) {
        if (name == null) return
        // Two runs at once would each measure the other, and write the same file.
        if (!running.compareAndSet(false, true)) {
            resultText.setText(R.string.already_running)
            return
        }
        startButton.isEnabled = false
        shareButton.isEnabled = false
        bar.visibility = View.VISIBLE
        resultText.setText(R.string.working)
        File(filesDir, RESULT).delete()
        File(filesDir, ERROR).delete()
        thread(name = "benchmark") { measure(name, iterations) }
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
            shareButton.isEnabled = document != null
        }
    }

    private fun run(name: String, iterations: Int): BenchmarkRun {
        val bundle = store.open(name)
        val subject = BenchmarkSubject(
            bundle = bundle,
            openEngine = Engines.loader(applicationContext, store, name, bundle),
            question = resources.getStringArray(R.array.passage_questions)[0],
            passage = resources.getStringArray(R.array.passage_texts)[0],
            fresh = !Engines.loaded,
        )
        val benchmark = Benchmark(subject, AndroidPhone(applicationContext), iterations)
        val version = packageManager.getPackageInfo(packageName, 0).versionName
        val created = Instant.now().truncatedTo(ChronoUnit.SECONDS).toString()
        return benchmark.run(created, "$packageName $version") { stage, percent ->
            if (stopped) throw EngineException(getString(R.string.stopped))
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
        val send = Intent(Intent.ACTION_SEND)
            .setType("text/plain")
            .putExtra(Intent.EXTRA_TITLE, RESULT)
            .putExtra(Intent.EXTRA_TEXT, document ?: return)
        startActivity(Intent.createChooser(send, getString(R.string.share)))
    }

    private companion object {
        // As many samples as a share action can carry: Android limits it to about 1 MB.
        const val MOST_ITERATIONS = 2_000
        const val EXTRA_BUNDLE = "bundle"
        const val EXTRA_ITERATIONS = "iterations"
        const val RESULT = "benchmark.json"
        const val ERROR = "benchmark.error"
        const val TAG = "ondevice"

        // In this process, whichever activity began it.
        val running = AtomicBoolean()
    }
}
