package dev.ondevice.qa

import android.R as AndroidR
import android.app.Activity
import android.view.View
import android.widget.AdapterView
import android.widget.ArrayAdapter
import android.widget.Spinner
import dev.ondevice.core.CoreException
import dev.ondevice.core.EngineException
import dev.ondevice.core.Passage

/** A screen that asks models: one job at a time, on the models' own thread. */
abstract class AskingActivity : Activity() {
    protected val store: BundleStore by lazy { BundleStore(assets) }
    private var working = false

    // The job whose result is still wanted.
    private var wanted = 0

    /** Switch what starts a job on and off. */
    protected abstract fun enable(enabled: Boolean)

    /** Show nothing but a sentence, or nothing at all. */
    protected abstract fun say(sentence: String)

    /** Show nothing more of what was asked: it was about another passage. */
    protected fun forget() {
        wanted++
        say("")
    }

    /** Do something on the models' thread, then show what came of it, unless it was forgotten. */
    protected fun <T> work(action: () -> T, show: (T) -> Unit) {
        if (working) return // the keyboard's own key is never switched off
        working = true
        val number = ++wanted
        say(getString(R.string.working))
        enable(false)
        Models.worker.execute {
            val done: () -> Unit = try {
                action().let { result -> { show(result) } }
            } catch (error: CoreException) {
                failing(error.message)
            } catch (error: EngineException) {
                failing(error.message)
            }
            runOnUiThread {
                working = false
                if (!isDestroyed) {
                    enable(true)
                    if (number == wanted) done()
                }
            }
        }
    }

    private fun failing(message: String): () -> Unit = { say(getString(R.string.failed, message)) }

    /** The passages that were embedded; none, and a sentence why, if they cannot be read. */
    protected fun passages(): List<Passage> = try {
        store.passages()
    } catch (error: CoreException) {
        say(getString(R.string.failed, error.message))
        emptyList()
    }

    /** Show a list to choose from. */
    protected fun fill(spinner: Spinner, items: List<String>) {
        spinner.adapter = ArrayAdapter(this, AndroidR.layout.simple_spinner_dropdown_item, items)
    }

    /** Hear of each choice, the first one included, which a spinner makes by itself. */
    protected fun onChoice(spinner: Spinner, chosen: (Int) -> Unit) {
        spinner.onItemSelectedListener = object : AdapterView.OnItemSelectedListener {
            override fun onItemSelected(parent: AdapterView<*>?, view: View?, place: Int, id: Long) =
                chosen(place)

            override fun onNothingSelected(parent: AdapterView<*>?) = Unit
        }
    }

    /** Where a passage is from, and how it begins. */
    protected fun label(passage: Passage): String =
        getString(R.string.passage_label, passage.title, passage.context.take(LABEL))

    private companion object {
        const val LABEL = 40
    }
}
