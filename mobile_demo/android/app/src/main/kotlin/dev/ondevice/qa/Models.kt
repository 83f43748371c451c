package dev.ondevice.qa

import android.content.Context
import dev.ondevice.core.Engine
import dev.ondevice.core.QuestionAnswering
import dev.ondevice.core.Reply

/** The models that are loaded. All calls come from one thread. */
class Models(private val context: Context, private val store: BundleStore) : AutoCloseable {
    private class Loaded(val engine: Engine, val answering: QuestionAnswering)

    // In the order of their use; a phone has room for a teacher and its student.
    private val loaded = LinkedHashMap<String, Loaded>(MOST, 1f, true)

    fun answer(name: String, question: String, passage: String): Reply =
        (loaded[name] ?: load(name)).answering.answer(question, passage)

    override fun close() {
        loaded.values.forEach { it.engine.close() }
        loaded.clear()
    }

    private fun load(name: String): Loaded {
        while (loaded.size >= MOST) {
            val oldest = loaded.keys.first()
            loaded.remove(oldest)?.engine?.close()
        }
        val bundle = store.open(name)
        val engine = Engines.loader(context, store, name, bundle)()
        val answering = try {
            QuestionAnswering(bundle.manifest, bundle.tokenizer(), engine)
        } catch (error: Exception) {
            engine.close()
            throw error
        }
        return Loaded(engine, answering).also { loaded[name] = it }
    }

    private companion object {
        const val MOST = 2
    }
}
