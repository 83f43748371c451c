package dev.ondevice.qa

import android.os.Bundle
import android.widget.Button
import android.widget.Spinner
import android.widget.TextView
import dev.ondevice.core.CoreException
import dev.ondevice.core.EngineException
import dev.ondevice.core.Passage

/** The same question to two models: the teacher and its student. */
class CompareActivity : AskingActivity() {
    /** One model's answer, or why there is none: it does not keep the other from answering. */
    private class Outcome(val answered: Answered?, val problem: String)

    private lateinit var teacherSpinner: Spinner
    private lateinit var studentSpinner: Spinner
    private lateinit var passageSpinner: Spinner
    private lateinit var questionSpinner: Spinner
    private lateinit var askButton: Button
    private lateinit var replies: List<ReplyView>
    private lateinit var comparisonText: TextView
    private var passages: List<Passage> = emptyList()

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.activity_compare)
        teacherSpinner = findViewById(R.id.teacher)
        studentSpinner = findViewById(R.id.student)
        passageSpinner = findViewById(R.id.passage)
        questionSpinner = findViewById(R.id.questions)
        askButton = findViewById(R.id.ask)
        comparisonText = findViewById(R.id.comparison)
        replies = listOf(
            ReplyView(findViewById(R.id.teacher_reply)),
            ReplyView(findViewById(R.id.student_reply)),
        )
        passages = passages()
        fill(passageSpinner, passages.map { label(it) })
        onChoice(passageSpinner) { place ->
            fill(questionSpinner, passages[place].questions)
            forget()
        }
        showModels()
        askButton.setOnClickListener { ask() }
    }

    override fun enable(enabled: Boolean) {
        askButton.isEnabled = enabled
    }

    override fun say(sentence: String) {
        comparisonText.text = sentence
        replies.forEach { it.say("") }
    }

    /** The largest model is the teacher, and the smallest its student, until the user says otherwise. */
    private fun showModels() {
        val models = store.readable()
        val names = store.names()
        val sizes = compareBy<String>(
            { models[it]?.manifest?.model?.params ?: 0 },
            { models[it]?.manifest?.artifact?.bytes ?: 0 },
        )
        for (spinner in listOf(teacherSpinner, studentSpinner)) fill(spinner, names)
        teacherSpinner.setSelection(names.indexOf(names.maxWithOrNull(sizes)))
        studentSpinner.setSelection(names.indexOf(names.reversed().minWithOrNull(sizes)))
    }

    private fun ask() {
        val names = listOf(teacherSpinner, studentSpinner).mapNotNull { it.selectedItem as? String }
        val question = questionSpinner.selectedItem as? String ?: return
        val passage = passages.getOrNull(passageSpinner.selectedItemPosition)?.context ?: return
        work({ names.map { outcome(it, question, passage) } }) { show(it, passage) }
    }

    private fun outcome(name: String, question: String, passage: String): Outcome = try {
        Outcome(Models.answer(applicationContext, store, name, question, passage), "")
    } catch (error: CoreException) {
        Outcome(null, error.message)
    } catch (error: EngineException) {
        Outcome(null, error.message)
    }

    private fun show(outcomes: List<Outcome>, passage: String) {
        say("")
        for ((view, outcome) in replies.zip(outcomes)) {
            if (outcome.answered == null) {
                view.say(getString(R.string.failed, outcome.problem))
            } else {
                view.show(outcome.answered, passage)
            }
        }
        val (teacher, student) = outcomes.mapNotNull { it.answered?.reply }
            .takeIf { it.size == 2 } ?: return
        val ratio = teacher.times.infer.toDouble() / maxOf(student.times.infer, 1L)
        val one = teacher.answers.firstOrNull()
        val other = student.answers.firstOrNull()
        val same = one != null && one.start == other?.start && one.end == other.end
        val word = getString(if (same) R.string.same_answer else R.string.other_answers)
        comparisonText.text = getString(R.string.comparison, ratio, word)
    }
}
