package dev.ondevice.qa

import android.app.ActivityManager
import android.content.Context
import android.content.Intent
import android.content.IntentFilter
import android.os.BatteryManager
import android.os.Build
import android.os.PowerManager
import dev.ondevice.core.Device
import dev.ondevice.core.DeviceState
import dev.ondevice.core.Phone
import dev.ondevice.core.PhoneIdentity
import java.io.File
import java.io.IOException

/** What Android tells about the phone; what it does not tell is left out. */
class AndroidPhone(private val context: Context) : Phone {
    override fun state(): DeviceState {
        val battery = context.registerReceiver(null, IntentFilter(Intent.ACTION_BATTERY_CHANGED))
        val power = context.getSystemService(PowerManager::class.java)
        return DeviceState(
            thermal = thermal(power),
            temperatureCelsius = battery?.number(BatteryManager.EXTRA_TEMPERATURE)?.let { it / 10.0 },
            batteryPercent = battery?.let { percent(it) },
            charging = battery?.number(BatteryManager.EXTRA_PLUGGED)?.let { it != 0 },
            lowPower = power.isPowerSaveMode,
        )
    }

    override fun device(before: DeviceState, after: DeviceState): Device {
        val memory = ActivityManager.MemoryInfo()
        context.getSystemService(ActivityManager::class.java).getMemoryInfo(memory)
        val identity = PhoneIdentity(::property)
        return Device(
            name = Build.MODEL.trim(),
            virtual = identity.isEmulator(),
            soc = identity.soc(),
            osVersion = Build.VERSION.RELEASE,
            cores = Runtime.getRuntime().availableProcessors(),
            memoryBytes = memory.totalMem,
            before = before,
            after = after,
        )
    }

    override fun peakBytes(): Long? = try {
        File("/proc/self/status").readLines()
            .firstOrNull { it.startsWith("VmHWM:") }
            ?.filter { it.isDigit() }
            ?.toLongOrNull()
            ?.times(KIB)
    } catch (_: IOException) {
        null
    }

    private fun thermal(power: PowerManager): String? =
        if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.Q) {
            THERMAL.getOrNull(power.currentThermalStatus)
        } else {
            null
        }

    private fun percent(battery: Intent): Double? {
        val level = battery.number(BatteryManager.EXTRA_LEVEL) ?: return null
        val scale = battery.number(BatteryManager.EXTRA_SCALE)?.takeIf { it > 0 } ?: return null
        return (100.0 * level / scale).coerceIn(0.0, 100.0)
    }

    private fun Intent.number(name: String): Int? =
        getIntExtra(name, Int.MIN_VALUE).takeIf { it != Int.MIN_VALUE }

    /** A system property; "" where it is not there, or not an app's to read. */
    private fun property(name: String): String = when (name) {
        "ro.soc.model" ->
            if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.S) Build.SOC_MODEL else ""
        "ro.hardware" -> Build.HARDWARE
        "ro.build.fingerprint" -> Build.FINGERPRINT
        // No class that an app may use has the others.
        else -> try {
            ProcessBuilder("getprop", name).start().inputStream
                .use { it.readBytes().decodeToString() }
        } catch (_: IOException) {
            ""
        }
    }

    private companion object {
        const val KIB = 1024L

        // PowerManager.THERMAL_STATUS_NONE and up, as the benchmark's schema names them.
        val THERMAL =
            listOf("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")
    }
}
