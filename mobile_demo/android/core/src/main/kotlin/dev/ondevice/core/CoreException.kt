package dev.ondevice.core

/** Why something cannot be answered; `word` is what the protocol calls it. */
enum class ErrorKind(val word: String) {
    BAD_REQUEST("bad_request"),
    NO_VOCABULARY("no_vocabulary"),
    BAD_VOCABULARY("bad_vocabulary"),
    EMPTY_QUESTION("empty_question"),
    EMPTY_CONTEXT("empty_context"),
    NOT_FINITE("not_finite"),
    BAD_MANIFEST("bad_manifest"),
    NEWER_SCHEMA("newer_schema"),
    MISSING_FILE("missing_file"),
    HASH_MISMATCH("hash_mismatch"),
    BAD_GOLDEN("bad_golden"),

    /** Only in apps: the passages cannot be read. */
    BAD_PASSAGES("bad_passages"),
}

/** The one error of this module: what was wrong, in a sentence for the user. */
class CoreException(val kind: ErrorKind, override val message: String, cause: Throwable? = null) :
    Exception(message, cause)
