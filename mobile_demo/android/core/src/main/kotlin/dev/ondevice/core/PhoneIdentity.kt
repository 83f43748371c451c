package dev.ondevice.core

/**
 * What a phone is, by its system properties; `property` returns "" for one that is not there.
 *
 * ondevice/bench/android_state.py reads them over adb by the same rules, so that a phone is one
 * device whichever of the two measured.
 */
class PhoneIdentity(private val property: (String) -> String) {
    /** The chip; before API 31, where Android has no name for it, the board. */
    fun soc(): String? = listOf("ro.soc.model", "ro.hardware")
        .map { property(it).trim() }
        .firstOrNull { it !in NOTHING }

    fun isEmulator(): Boolean =
        EMULATORS.any { property("ro.hardware").trim().startsWith(it) } ||
            property("ro.build.fingerprint").trim().startsWith("generic") ||
            "emulator" in property("ro.build.characteristics").trim().split(",") ||
            QEMU.any { property(it).trim() == "1" }

    private companion object {
        // "unknown" is Android's own word for what it was not told.
        val NOTHING = setOf("", "unknown")

        // Beginnings: QEMU's, Cuttlefish's "cutf_cvm" with its forerunners' "vsoc_x86_64" and
        // "gce_x86", Genymotion's "vbox86".
        val EMULATORS = listOf("goldfish", "ranchu", "cutf", "vsoc", "gce", "vbox86")
        val QEMU = listOf("ro.kernel.qemu", "ro.boot.qemu")
    }
}
