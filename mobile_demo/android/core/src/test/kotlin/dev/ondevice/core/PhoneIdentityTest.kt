package dev.ondevice.core

import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFalse
import kotlin.test.assertNull
import kotlin.test.assertTrue

class PhoneIdentityTest {
    private fun phone(vararg properties: Pair<String, String>): PhoneIdentity {
        val known = mapOf(
            "ro.hardware" to "shiba",
            "ro.build.fingerprint" to "google/shiba/shiba:14/AP1A.240305.019/1:user/release-keys",
            "ro.build.characteristics" to "nosdcard",
        ) + properties
        return PhoneIdentity { known[it].orEmpty() }
    }

    @Test
    fun namesTheChipOrElseTheBoard() {
        assertEquals("Tensor G3", phone("ro.soc.model" to "Tensor G3").soc())
        assertEquals("shiba", phone().soc())
        assertEquals("shiba", phone("ro.soc.model" to "unknown").soc())
        assertNull(phone("ro.hardware" to "unknown").soc())
    }

    @Test
    fun aPhoneIsNoEmulator() {
        assertFalse(phone().isEmulator())
        assertFalse(phone("ro.kernel.qemu" to "0", "ro.build.characteristics" to "").isEmulator())
    }

    @Test
    fun knowsEmulators() {
        val emulators = listOf(
            "ro.hardware" to "ranchu",
            "ro.hardware" to "goldfish",
            "ro.hardware" to "cutf_cvm",
            "ro.hardware" to "vsoc_x86_64",
            "ro.hardware" to "gce_x86",
            "ro.hardware" to "vbox86",
            "ro.build.fingerprint" to "generic/aosp_cf_x86_64_phone/vsoc_x86_64:14/1/1:userdebug/x",
            "ro.build.characteristics" to "nosdcard,emulator",
            "ro.kernel.qemu" to "1",
            "ro.boot.qemu" to "1",
        )
        for (property in emulators) assertTrue(phone(property).isEmulator(), "$property")
    }
}
