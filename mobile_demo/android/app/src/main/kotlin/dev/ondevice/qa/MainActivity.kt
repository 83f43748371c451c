package dev.ondevice.qa

import android.app.Activity
import android.content.Intent
import android.os.Bundle
import android.text.SpannableString
import android.text.Spanned
import android.text.style.BackgroundColorSpan
import android.view.View
import android.view.inputmethod.EditorInfo
import android.view.inputmethod.InputMethodManager
import android.widget.AdapterView
import android.widget.ArrayAdapter
import android.widget.Button
import android.widget.EditText
import android.widget.ScrollView
import android.widget.Spinner
import android.widget.TextView
import dev.ondevice.core.CodePoints
import dev.ondevice.core.CoreException
import dev.ondevice.core.EngineException
import dev.ondevice.core.Reply
import java.util.concurrent.ExecutorService
import java.util.concurrent.Executors

/** Ask a question about a passage: the answer, where it stands, and how long each stage took. */
class MainActivity : Activity() {
    private lateinit var store: BundleStore
    private lateinit var models: Models
    private lateinit var modelSpinner: Spinner
    private lateinit var contextEdit: EditText
    private lateinit var questionEdit: EditText
    private lateinit var answerText: TextView
    private lateinit var timesText: TextView
    private lateinit var highlightedText: TextView
    private lateinit var buttons: List<Button>

    // Models are loaded and run on this one thread, never on that of the views.
    private val worker: ExecutorService = Executors.newSingleThreadExecutor()

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.activity_main)
        store = BundleStore(assets)
        models = Models(applicationContext, store)
        modelSpinner = findViewById(R.id.model)
        contextEdit = findViewById(R.id.context)
        questionEdit = findViewById(R.id.question)
        answerText = findViewById(R.id.answer)
        timesText = findViewById(R.id.times)
        highlightedText = findViewById(R.id.highlighted)
        val askButton = findViewById<Button>(R.id.ask)
        val compareButton = findViewById<Button>(R.id.compare)
        val benchmarkButton = findViewById<Button>(R.id.benchmark)
        buttons = listOf(askButton, compareButton, benchmarkButton)

        askButton.setOnClickListener { ask() }
        compareButton.setOnClickListener { compare() }
        benchmarkButton.setOnClickListener {
            startActivity(Intent(this, BenchmarkActivity::class.java))
        }
        questionEdit.setOnEditorActionListener { _, action, _ ->
            if (action == EditorInfo.IME_ACTION_SEARCH) ask()
            action == EditorInfo.IME_ACTION_SEARCH
        }
        showModels()
        showPassages(restored = savedInstanceState != null)
    }

    override fun onDestroy() {
        worker.execute { models.close() }
        worker.shutdown()
        super.onDestroy()
    }

    private fun showModels() {
        val names = store.names()
        modelSpinner.adapter = adapter(names)
        if (names.isEmpty()) {
            answerText.setText(R.string.no_bundles)
            buttons.forEach { it.isEnabled = false }
        }
    }

    private fun showPassages(restored: Boolean) {
        val titles = resources.getStringArray(R.array.passage_titles)
        val texts = resources.getStringArray(R.array.passage_texts)
        val questions = resources.getStringArray(R.array.passage_questions)
        val spinner = findViewById<Spinner>(R.id.passage)
        spinner.adapter = adapter(titles.toList() + getString(R.string.own_text))
        // A spinner reports its first selection too: after a return to the app the question is the
        // user's. The passage is not kept: a long one would end the app when Android saves it.
        var keep = restored
        spinner.onItemSelectedListener = object : AdapterView.OnItemSelectedListener {
            override fun onItemSelected(parent: AdapterView<*>?, view: View?, place: Int, id: Long) {
                contextEdit.setText(texts.getOrElse(place) { "" })
                if (!keep) questionEdit.setText(questions.getOrElse(place) { "" })
                clear()
                keep = false
            }

            override fun onNothingSelected(parent: AdapterView<*>?) = Unit
        }
    }

    private fun adapter(items: List<String>) =
        ArrayAdapter(this, android.R.layout.simple_spinner_dropdown_item, items)

    private fun ask() {
        val name = modelSpinner.selectedItem as? String ?: return
        val question = questionEdit.text.toString()
        val passage = contextEdit.text.toString()
        work({ models.answer(name, question, passage) }) { show(it, passage) }
    }

    private fun compare() {
        val names = store.names()
        val question = questionEdit.text.toString()
        val passage = contextEdit.text.toString()
        work({ names.joinToString("\n") { compared(it, question, passage) } }) {
            clear()
            timesText.text = it
        }
    }

    /** One model's answer as text; a model that fails does not keep the others from answering. */
    private fun compared(name: String, question: String, passage: String): String {
        val sentence = try {
            val reply = models.answer(name, question, passage)
            val text = reply.answers.firstOrNull()?.text ?: getString(R.string.no_answer)
            return getString(R.string.compared, name, text, milliseconds(reply.times.infer))
        } catch (error: CoreException) {
            error.message
        } catch (error: EngineException) {
            error.message
        }
        return getString(R.string.compared_error, name, sentence)
    }

    /** Do something on the worker's thread, then show what came of it. */
    private fun <T> work(action: () -> T, show: (T) -> Unit) {
        hideKeyboard()
        clear()
        answerText.setText(R.string.working)
        buttons.forEach { it.isEnabled = false }
        worker.execute {
            val done: () -> Unit = try {
                action().let { result -> { show(result) } }
            } catch (error: CoreException) {
                showing(error.message)
            } catch (error: EngineException) {
                showing(error.message)
            }
            runOnUiThread {
                if (!isDestroyed) {
                    buttons.forEach { it.isEnabled = true }
                    done()
                }
            }
        }
    }

    private fun showing(message: String): () -> Unit =
        { answerText.text = getString(R.string.failed, message) }

    private fun show(reply: Reply, passage: String) {
        val best = reply.answers.firstOrNull()
        if (best == null) {
            answerText.setText(R.string.no_answer)
            return
        }
        answerText.text = best.text
        val times = reply.times
        timesText.text = listOf(
            getString(R.string.probability, best.probability, best.score),
            getString(
                R.string.times,
                milliseconds(times.tokenize),
                milliseconds(times.infer),
                milliseconds(times.decode),
            ),
            getString(R.string.windows, reply.lengths.size, reply.lengths.joinToString()),
        ).joinToString("\n")
        highlight(passage, best.start, best.end)
    }

    /** Mark the code points [start, end): the place of the answer, not the first that reads alike. */
    private fun highlight(passage: String, start: Int, end: Int) {
        val points = CodePoints.of(passage)
        val first = points.utf16(start)
        val text = SpannableString(passage)
        text.setSpan(
            BackgroundColorSpan(getColor(R.color.highlight)),
            first,
            points.utf16(end),
            Spanned.SPAN_EXCLUSIVE_EXCLUSIVE,
        )
        highlightedText.text = text
        highlightedText.post {
            val layout = highlightedText.layout ?: return@post
            val line = layout.getLineTop(layout.getLineForOffset(first))
            val scroll = findViewById<ScrollView>(R.id.scroll)
            // Only as far as needed: the answer and the times stay in view above a short passage.
            val below = highlightedText.top + line - scroll.height * 2 / 3
            if (below > scroll.scrollY) scroll.smoothScrollTo(0, below)
        }
    }

    private fun clear() {
        answerText.text = ""
        timesText.text = ""
        highlightedText.text = ""
    }

    private fun hideKeyboard() {
        val manager = getSystemService(InputMethodManager::class.java)
        manager.hideSoftInputFromWindow(questionEdit.windowToken, 0)
    }

    private fun milliseconds(nanoseconds: Long): Double = nanoseconds / 1e6
}
