package dev.ondevice.qa

import android.content.Intent
import android.os.Bundle
import android.view.inputmethod.EditorInfo
import android.view.inputmethod.InputMethodManager
import android.widget.Button
import android.widget.EditText
import android.widget.Spinner

/** Ask a question about a passage: the answer, where it stands, and how long each stage took. */
class MainActivity : AskingActivity() {
    private lateinit var modelSpinner: Spinner
    private lateinit var contextEdit: EditText
    private lateinit var questionEdit: EditText
    private lateinit var reply: ReplyView
    private lateinit var buttons: List<Button>

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.activity_main)
        modelSpinner = findViewById(R.id.model)
        contextEdit = findViewById(R.id.context)
        questionEdit = findViewById(R.id.question)
        reply = ReplyView(findViewById(R.id.reply))
        val askButton = findViewById<Button>(R.id.ask)
        val compareButton = findViewById<Button>(R.id.compare)
        val benchmarkButton = findViewById<Button>(R.id.benchmark)
        buttons = listOf(askButton, compareButton, benchmarkButton)

        askButton.setOnClickListener { ask() }
        compareButton.setOnClickListener {
            startActivity(Intent(this, CompareActivity::class.java))
        }
        benchmarkButton.setOnClickListener {
            startActivity(Intent(this, BenchmarkActivity::class.java))
        }
        questionEdit.setOnEditorActionListener { _, action, _ ->
            if (action == EditorInfo.IME_ACTION_SEARCH) ask()
            action == EditorInfo.IME_ACTION_SEARCH
        }
        showPassages(restored = savedInstanceState != null)
        val names = store.names()
        fill(modelSpinner, names)
        if (names.isEmpty()) {
            say(getString(R.string.no_bundles))
            enable(false)
        }
    }

    override fun onDestroy() {
        if (isFinishing) Models.worker.execute { Models.closeAll() }
        super.onDestroy()
    }

    override fun enable(enabled: Boolean) = buttons.forEach { it.isEnabled = enabled }

    override fun say(sentence: String) = reply.say(sentence)

    private fun showPassages(restored: Boolean) {
        val passages = passages()
        val passageSpinner = findViewById<Spinner>(R.id.passage)
        val questionSpinner = findViewById<Spinner>(R.id.questions)
        fill(passageSpinner, passages.map { label(it) } + getString(R.string.own_text))
        // After a return to the app the question is the user's. The passage is not kept: a long one
        // would end the app when Android saves it.
        var keepPassage = restored
        var keepQuestion = restored
        var questions = emptyList<String>()
        var first = true
        onChoice(passageSpinner) { place ->
            val passage = passages.getOrNull(place)
            contextEdit.setText(passage?.context.orEmpty())
            questions = passage?.questions.orEmpty()
            if (!keepPassage) questionEdit.setText(questions.firstOrNull().orEmpty())
            fill(questionSpinner, questions)
            // What is said before anything was chosen is why nothing can be.
            if (!first) forget()
            first = false
            keepPassage = false
        }
        onChoice(questionSpinner) { place ->
            if (!keepQuestion) questionEdit.setText(questions.getOrElse(place) { "" })
            keepQuestion = false
        }
    }

    private fun ask() {
        val name = modelSpinner.selectedItem as? String ?: return
        val question = questionEdit.text.toString()
        val passage = contextEdit.text.toString()
        hideKeyboard()
        work({ Models.answer(applicationContext, store, name, question, passage) }) {
            reply.show(it, passage)
        }
    }

    private fun hideKeyboard() {
        val manager = getSystemService(InputMethodManager::class.java)
        manager.hideSoftInputFromWindow(questionEdit.windowToken, 0)
    }
}
