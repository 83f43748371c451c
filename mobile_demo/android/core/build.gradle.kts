import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    alias(libs.plugins.kotlin.jvm)
}

java {
    sourceCompatibility = JavaVersion.VERSION_17
    targetCompatibility = JavaVersion.VERSION_17
}

kotlin {
    compilerOptions {
        jvmTarget.set(JvmTarget.JVM_17)
        allWarningsAsErrors.set(true)
    }
}

dependencies {
    testImplementation(libs.kotlin.test)
}

tasks.test {
    useJUnitPlatform()
}

// build/libs/core.jar runs as `qacore`: java -cp core.jar:kotlin-stdlib.jar dev.ondevice.core.MainKt
tasks.jar {
    manifest {
        attributes("Main-Class" to "dev.ondevice.core.MainKt")
    }
}
