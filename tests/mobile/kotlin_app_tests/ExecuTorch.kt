// A runtime whose methods are what a test says; it counts how many modules are open.

package org.pytorch.executorch

class Tensor(val dataAsFloatArray: FloatArray) {
    companion object {
        fun fromBlob(data: IntArray, shape: LongArray): Tensor {
            require(shape.fold(1L) { so, size -> so * size } == data.size.toLong())
            return Tensor(FloatArray(data.size))
        }
    }
}

class EValue(private val value: Any) {
    fun toTensor(): Tensor = value as? Tensor ?: error("not a tensor")

    fun toInt(): Long = value as? Long ?: error("not an integer")

    fun toStr(): String = value as? String ?: error("not a text")

    companion object {
        fun from(tensor: Tensor) = EValue(tensor)
    }
}

class Module private constructor() {
    @Suppress("UNUSED_PARAMETER")
    fun execute(method: String, vararg inputs: EValue): Array<EValue> =
        methods[method] ?: error("no method $method")

    fun loadMethod(method: String) = check(method in methods) { "no method $method" }

    fun destroy() {
        open--
    }

    companion object {
        const val LOAD_MODE_MMAP = 1
        var open = 0
        var methods: Map<String, Array<EValue>> = emptyMap()

        @Suppress("UNUSED_PARAMETER")
        fun load(path: String, mode: Int, threads: Int): Module = Module().also { open++ }
    }
}
