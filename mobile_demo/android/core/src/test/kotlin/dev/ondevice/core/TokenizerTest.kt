package dev.ondevice.core

import kotlin.test.Test
import kotlin.test.assertContentEquals
import kotlin.test.assertEquals

class TokenizerTest {
    private val tokenizer = wordPiece()

    private fun places(text: String): List<Pair<Int, Int>> {
        val tokens = tokenizer.tokenize(CodePoints.of(text))
        return tokens.starts.zip(tokens.ends)
    }

    @Test
    fun takesTheLongestPieces() {
        assertEquals(listOf("the", "river", "##s", "."), tokenizer.pieces("The rivers."))
        assertEquals(listOf(0 to 3, 4 to 9, 9 to 10, 10 to 11), places("The rivers."))
    }

    @Test
    fun lowercasesEachLetterByItself() {
        // The JVM would make the last of them a final sigma, which is not in the vocabulary.
        assertEquals(listOf("σ", "[UNK]"), tokenizer.pieces("Σ ΣΣ"))
    }

    @Test
    fun dropsAccentsInBothForms() {
        assertEquals(listOf("rome"), tokenizer.pieces("Rôme"))
        assertEquals(listOf("rome"), tokenizer.pieces("Ro\u0302me"))
        assertEquals(listOf(0 to 5), places("Ro\u0302me"))
    }

    @Test
    fun setsIdeographsApart() {
        assertEquals(listOf("東", "東", "a"), tokenizer.pieces("東東a"))
    }

    @Test
    fun takesLiteralSpecialTokens() {
        assertEquals(listOf("a", "[SEP]", "b"), tokenizer.pieces("a[SEP]b"))
        assertEquals(listOf("[UNK]", "s", "##e", "##p", "[UNK]"), tokenizer.pieces("[sep]"))
    }

    @Test
    fun knowsWordsOfUpToAHundredLetters() {
        assertEquals(100, tokenizer.pieces("a".repeat(100)).size)
        assertEquals(listOf("[UNK]"), tokenizer.pieces("a".repeat(101)))
    }

    @Test
    fun keepsThePlacesOfMovedMarks() {
        // Canonical order puts U+1B34 first; it is dropped, and the other keeps the second place.
        assertEquals(listOf(1 to 2), places("\u1B44\u1B34"))
    }

    @Test
    fun readsUnpairedSurrogatesAsOneDroppedCodePoint() {
        assertEquals(listOf(1 to 2), places("\uD800a"))
        assertEquals(listOf(1 to 2), places("\uDC00a"))
    }

    @Test
    fun tellsPlacesInUtf16() {
        val text = CodePoints.of("😀 a")
        assertEquals(3, text.size)
        assertEquals(3, text.utf16(2))
        assertEquals("😀", text.slice(0, 1))
        assertEquals("a", text.slice(2, 9))
    }

    @Test
    fun takesMegabytes() {
        val words = 150_000
        assertEquals(words, tokenizer.tokenize(CodePoints.of("ada met ".repeat(words / 2))).size)
        assertEquals(1, tokenizer.tokenize(CodePoints.of("a".repeat(1_000_000))).size)
        val marks = "a" + "\u0301\u0323".repeat(500_000)
        assertContentEquals(intArrayOf(PIECES.indexOf("a")), tokenizer.tokenize(CodePoints.of(marks)).ids)
    }

    @Test
    fun refusesVocabulariesThatCannotWork() {
        assertEquals(ErrorKind.BAD_VOCABULARY, kindOf { Vocabulary.of("") })
        assertEquals(ErrorKind.BAD_VOCABULARY, kindOf { Vocabulary.of("[PAD]\n[CLS]\n[SEP]\na\n") })
    }

    @Test
    fun keepsCaseAndAccentsIfTold() {
        val cased = WordPiece(Vocabulary.of(vocabularyText()), lowercase = false, stripAccents = false)
        assertEquals(listOf("[UNK]", "a"), cased.pieces("A a"))
    }
}
