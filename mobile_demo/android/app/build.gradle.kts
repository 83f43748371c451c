import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    alias(libs.plugins.android.application)
    alias(libs.plugins.kotlin.android)
}

android {
    namespace = "dev.ondevice.qa"
    compileSdk = 36

    defaultConfig {
        applicationId = "dev.ondevice.qa"
        minSdk = 26
        targetSdk = 35
        versionCode = 1
        versionName = "1.0"
        testInstrumentationRunner = "androidx.test.runner.AndroidJUnitRunner"
        // What ExecuTorch's library is built for; each more would add LiteRT's for nothing.
        ndk { abiFilters += listOf("arm64-v8a", "x86_64") }
    }

    // Models are mapped into memory straight from the installed app: never compress them.
    androidResources { noCompress += listOf("tflite", "pte", "onnx") }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }
}

kotlin {
    compilerOptions {
        jvmTarget.set(JvmTarget.JVM_17)
    }
}

dependencies {
    implementation(project(":core"))
    implementation(libs.litert)
    // Its own classes use nothing of androidx, whose core would bring a permission, a provider that
    // runs at every start, and a receiver into the app.
    implementation(libs.executorch) { exclude(group = "androidx.core") }
    androidTestImplementation(libs.androidx.test.junit)
    androidTestImplementation(libs.androidx.test.runner)
}
