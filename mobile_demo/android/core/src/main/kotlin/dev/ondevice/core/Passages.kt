package dev.ondevice.core

/** A passage with questions that it answers; `title` is that of the article it is from. */
data class Passage(val title: String, val context: String, val questions: List<String>)

/** Reads files in SQuAD's layout (data / paragraphs / context, qas); answers are not looked at. */
object Passages {
    private val KIND = ErrorKind.BAD_PASSAGES

    /** @throws CoreException it is not such a file, or it has no passage with a question */
    fun read(text: String): List<Passage> {
        val document = JsonFields(parseJson(text, "the file of passages", KIND), "", KIND)
        val passages = document.objects("data").flatMap { article ->
            val title = if (article.has("title")) article.string("title") else ""
            article.objects("paragraphs").map { paragraph ->
                val questions = paragraph.objects("qas").map { it.string("question") }
                Passage(title, paragraph.string("context"), questions)
            }
        }
        if (passages.firstOrNull()?.questions.isNullOrEmpty()) {
            throw CoreException(KIND, "there is no passage with a question")
        }
        return passages
    }
}
