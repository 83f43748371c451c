// The few declarations of kotlin.test that the core's unit tests use, for where Maven Central is
// out of reach: Gradle compiles the same tests against the library itself.

package kotlin.test

@Retention(AnnotationRetention.RUNTIME)
@Target(AnnotationTarget.FUNCTION)
annotation class Test

fun fail(message: String): Nothing = throw AssertionError(message)

fun assertTrue(actual: Boolean, message: String? = null) {
    if (!actual) fail(message ?: "it is not true")
}

fun assertFalse(actual: Boolean, message: String? = null) = assertTrue(!actual, message)

fun <T> assertEquals(expected: T, actual: T, message: String? = null) {
    if (expected != actual) fail("${message ?: ""} expected <$expected>, actual <$actual>")
}

fun assertContentEquals(expected: IntArray?, actual: IntArray?, message: String? = null) {
    if (!expected.contentEquals(actual)) {
        fail("${message ?: ""} expected ${expected?.toList()}, actual ${actual?.toList()}")
    }
}

fun <T> assertNull(actual: T?, message: String? = null) = assertEquals(null, actual, message)

inline fun <reified T : Throwable> assertFailsWith(message: String? = null, block: () -> Unit): T {
    try {
        block()
    } catch (error: Throwable) {
        if (error is T) return error
        throw error
    }
    fail(message ?: "nothing was thrown")
}
