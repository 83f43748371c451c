package dev.ondevice.qa

import android.content.Context
import dev.ondevice.core.CheckedModel
import dev.ondevice.core.Reply
import java.util.concurrent.ExecutorService
import java.util.concurrent.Executors

/** A reply, and how many goldens its model had passed before. */
class Answered(val reply: Reply, val goldens: Int)

/** The models that are loaded, for all screens. All calls come from [worker]. */
object Models {
    /** Models are loaded, run and measured on this one thread: none takes another's time. */
    val worker: ExecutorService = Executors.newSingleThreadExecutor()

    // A phone has room for a teacher and its student.
    private const val MOST = 2

    // In the order of their use.
    private val loaded = LinkedHashMap<String, CheckedModel>(MOST, 1f, true)

    /** Answer a question; before a model's first answer it is loaded and its goldens are run. */
    fun answer(
        context: Context,
        store: BundleStore,
        name: String,
        question: String,
        passage: String,
    ): Answered {
        val model = loaded[name] ?: load(context, store, name)
        return Answered(model.answer(question, passage), model.goldens)
    }

    /** Give the memory of all models back. */
    fun closeAll() {
        loaded.values.forEach { it.close() }
        loaded.clear()
    }

    private fun load(context: Context, store: BundleStore, name: String): CheckedModel {
        while (loaded.size >= MOST) {
            loaded.remove(loaded.keys.first())?.close()
        }
        val bundle = store.open(name)
        return CheckedModel.open(bundle, Engines.loader(context, store, name, bundle))
            .also { loaded[name] = it }
    }
}
