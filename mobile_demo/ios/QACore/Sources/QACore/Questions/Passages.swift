/// A passage with questions that it answers.
public struct Passage: Sendable, Equatable {
    /// Of the article that it is from.
    public let title: String
    public let context: String
    public let questions: [String]
}

/// Reads files in SQuAD's layout (data / paragraphs / context, qas). Answers are not looked at.
public enum Passages {
    public static func read(json bytes: [UInt8]) throws(QAError) -> [Passage] {
        let document: JSONValue
        do throws(JSONSyntaxError) {
            document = try JSONReader.parse(bytes)
        } catch {
            throw QAError(
                .badPassages, "the passages are not JSON: \(error.message) (byte \(error.byte))")
        }
        let articles = try Fields(document, at: "", kind: .badPassages).list("data") {
            (article) throws(QAError) in
            let title = article.has("title") ? try article.string("title") : ""
            return try article.list("paragraphs") { (paragraph) throws(QAError) in
                Passage(
                    title: title,
                    context: try paragraph.string("context"),
                    questions: try paragraph.list("qas") { (record) throws(QAError) in
                        try record.string("question")
                    })
            }
        }
        return articles.flatMap(\.self)
    }
}
