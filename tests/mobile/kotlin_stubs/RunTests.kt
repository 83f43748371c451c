package dev.ondevice.runner

import java.io.File
import java.lang.reflect.InvocationTargetException
import java.util.zip.ZipFile
import kotlin.system.exitProcess
import kotlin.test.Test

/** Run every test of a jar's classes that are called …Test; print what failed, and how many. */
fun main(arguments: Array<String>) {
    val classes = ZipFile(File(arguments[0])).use { jar ->
        jar.entries().asSequence().map { it.name }.filter { it.endsWith("Test.class") }.toList()
    }
    var passed = 0
    var failed = 0
    for (name in classes.sorted()) {
        val type = Class.forName(name.removeSuffix(".class").replace('/', '.'))
        val tests = type.methods.filter { it.isAnnotationPresent(Test::class.java) }
        for (test in tests.sortedBy { it.name }) {
            try {
                test.invoke(type.getDeclaredConstructor().newInstance())
                passed++
            } catch (error: InvocationTargetException) {
                failed++
                println("${type.simpleName}.${test.name}: ${error.targetException.stackTraceToString()}")
            }
        }
    }
    println("$passed passed, $failed failed")
    exitProcess(if (failed == 0 && passed > 0) 0 else 1)
}
