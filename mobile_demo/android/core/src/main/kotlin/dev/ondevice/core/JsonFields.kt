package dev.ondevice.core

/**
 * The fields of a JSON object, read strictly: a missing field or a wrong type is an error of `kind`,
 * and so is, after [end], a field that nobody asked for.
 */
internal class JsonFields(value: Json, private val where: String, private val kind: ErrorKind) {
    private val values: Map<String, Json> =
        (value as? JsonObject)?.values ?: fail("", "an object")
    private val known = HashSet<String>()

    fun has(name: String): Boolean = get(name) != null

    fun string(name: String, default: String? = null): String {
        val value = get(name) ?: default?.let { JsonString(it) } ?: missing(name)
        return (value as? JsonString)?.value ?: fail(name, "a text")
    }

    fun stringOrNull(name: String): String? =
        if ((get(name) ?: JsonNull) == JsonNull) null else string(name)

    fun boolean(name: String): Boolean =
        (need(name) as? JsonBoolean)?.value ?: fail(name, "true or false")

    fun int(name: String, least: Int = Int.MIN_VALUE): Int = int(need(name), name, least)

    fun intOrNull(name: String, least: Int): Int? =
        if ((get(name) ?: JsonNull) == JsonNull) null else int(name, least)

    fun long(name: String, least: Long): Long {
        val whole = (need(name) as? JsonNumber)?.whole
        return whole?.takeIf { it >= least } ?: fail(name, "a whole number of at least $least")
    }

    fun double(name: String): Double = double(need(name), name)

    fun doubleOrNull(name: String): Double? =
        if ((get(name) ?: JsonNull) == JsonNull) null else double(name)

    fun ints(name: String, least: Int = Int.MIN_VALUE): IntArray {
        val items = array(name)
        return IntArray(items.size) { int(items[it], name, least) }
    }

    fun doubles(name: String): DoubleArray {
        val items = array(name)
        return DoubleArray(items.size) { double(items[it], name) }
    }

    /** Logits, float32, which may be infinite; null stands for NaN, which JSON lacks. */
    fun logits(name: String): FloatArray {
        val items = array(name)
        return FloatArray(items.size) {
            if (items[it] == JsonNull) Float.NaN else number(items[it], name).toFloat()
        }
    }

    fun strings(name: String, optional: Boolean = false): List<String> {
        if (optional && get(name) == null) return emptyList()
        return array(name).map { (it as? JsonString)?.value ?: fail(name, "a list of texts") }
    }

    /** Pairs of places, as one array: start, end, start, end. */
    fun ranges(name: String, least: Int = Int.MIN_VALUE): IntArray {
        val items = array(name)
        val result = IntArray(2 * items.size)
        items.forEachIndexed { i, item -> pair(item, name, least).copyInto(result, 2 * i) }
        return result
    }

    fun range(name: String): IntArray = pair(need(name), name, 0)

    fun array(name: String): List<Json> =
        (need(name) as? JsonArray)?.values ?: fail(name, "a list")

    fun fields(name: String): JsonFields = JsonFields(need(name), join(name), kind)

    fun objects(name: String, optional: Boolean = false): List<JsonFields> {
        if (optional && get(name) == null) return emptyList()
        return array(name).mapIndexed { i, item -> JsonFields(item, join("$name.$i"), kind) }
    }

    /** An object that maps any names to values of one type. */
    fun <T> map(name: String, read: JsonFields.(String) -> T): Map<String, T> {
        val inner = fields(name)
        return inner.values.keys.associateWith { inner.read(it) }
    }

    /** Refuse fields that were not read. */
    fun end() {
        val unknown = values.keys.firstOrNull { it !in known } ?: return
        throw CoreException(kind, "'${join(unknown)}' is not known")
    }

    fun fail(name: String, expected: String): Nothing {
        val place = if (name.isEmpty()) where.ifEmpty { "it" } else "'${join(name)}'"
        throw CoreException(kind, "$place should be $expected")
    }

    private fun missing(name: String): Nothing =
        throw CoreException(kind, "'${join(name)}' is missing")

    private fun get(name: String): Json? {
        known.add(name)
        return values[name]
    }

    private fun need(name: String): Json = get(name) ?: missing(name)

    private fun join(name: String): String = if (where.isEmpty()) name else "$where.$name"

    private fun int(value: Json, name: String, least: Int): Int {
        val whole = (value as? JsonNumber)?.whole
        if (whole == null || whole > Int.MAX_VALUE) fail(name, "a whole number")
        if (whole < least) fail(name, "at least $least")
        return whole.toInt()
    }

    private fun double(value: Json, name: String): Double =
        number(value, name).takeIf { it.isFinite() } ?: fail(name, "a finite number")

    private fun number(value: Json, name: String): Double =
        (value as? JsonNumber)?.value ?: fail(name, "a number")

    private fun pair(value: Json, name: String, least: Int): IntArray {
        val items = (value as? JsonArray)?.values
        if (items == null || items.size != 2) fail(name, "a pair of places")
        return IntArray(2) { int(items[it], name, least) }
    }
}

/** Parse a document, or tell what is wrong with it as an error of `kind`. */
internal fun parseJson(text: String, what: String, kind: ErrorKind): Json = try {
    JsonReader(text).read()
} catch (error: JsonSyntaxException) {
    throw CoreException(kind, "$what is not JSON: ${error.message}", error)
}
