package dev.ondevice.qa

import android.text.SpannableString
import android.text.Spanned
import android.text.style.BackgroundColorSpan
import android.view.View
import android.widget.TextView
import dev.ondevice.core.Answer
import dev.ondevice.core.CodePoints

/** Shows a model's reply: the answer and where it stands, other answers, each stage's time. */
class ReplyView(root: View) {
    private val context = root.context
    private val answerText: TextView = root.findViewById(R.id.answer)
    private val excerptText: TextView = root.findViewById(R.id.excerpt)
    private val timesText: TextView = root.findViewById(R.id.times)
    private val othersText: TextView = root.findViewById(R.id.others)

    /** Show nothing but a sentence. */
    fun say(sentence: String) {
        answerText.text = sentence
        for (view in listOf(excerptText, timesText, othersText)) view.text = ""
    }

    fun show(answered: Answered, passage: String) {
        val reply = answered.reply
        val best = reply.answers.firstOrNull()
        say(best?.text ?: context.getString(R.string.no_answer))
        val times = reply.times
        timesText.text = listOfNotNull(
            best?.let { context.getString(R.string.probability, it.probability, it.score) },
            context.getString(
                R.string.times,
                milliseconds(times.tokenize),
                milliseconds(times.infer),
                milliseconds(times.decode),
            ),
            context.getString(R.string.windows, reply.lengths.size, reply.lengths.joinToString()),
            context.getString(R.string.goldens, answered.goldens, answered.goldens),
        ).joinToString("\n")
        if (best == null) return
        excerptText.text = excerpt(best, passage)
        val others = reply.answers.drop(1).take(OTHERS).joinToString("\n") {
            context.getString(R.string.other_answer, it.text, it.probability)
        }
        if (others.isNotEmpty()) othersText.text = context.getString(R.string.others, others)
    }

    /** The answer in its surroundings, marked by its place and not by searching for it. */
    private fun excerpt(answer: Answer, passage: String): SpannableString {
        val points = CodePoints.of(passage)
        val first = maxOf(answer.start - AROUND, 0)
        val last = minOf(answer.end + AROUND, points.size)
        val before = (if (first > 0) "…" else "") + points.slice(first, answer.start)
        val marked = points.slice(answer.start, answer.end)
        val after = points.slice(answer.end, last) + if (last < points.size) "…" else ""
        val text = SpannableString(before + marked + after)
        text.setSpan(
            BackgroundColorSpan(context.getColor(R.color.highlight)),
            before.length,
            before.length + marked.length,
            Spanned.SPAN_EXCLUSIVE_EXCLUSIVE,
        )
        return text
    }

    private fun milliseconds(nanoseconds: Long): Double = nanoseconds / 1e6

    private companion object {
        const val OTHERS = 4

        // Code points that are shown on each side of the answer.
        const val AROUND = 240
    }
}
