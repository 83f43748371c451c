"""What an Android phone tells about itself: model, chip, version, heat, battery, power mode.

Nothing here is needed to measure: what a phone does not tell, or tells in a form that is not
known, is left out. The demo app says the same of the same phone (``PhoneIdentity.kt``,
``AndroidPhone.kt``): a report groups by it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ondevice.bench.parts import DeviceInfo, DeviceState, Thermal

if TYPE_CHECKING:
    from ondevice.bench.adb import Adb

# PowerManager.THERMAL_STATUS_NONE … THERMAL_STATUS_SHUTDOWN.
THERMAL: tuple[Thermal, ...] = (
    "none",
    "light",
    "moderate",
    "severe",
    "critical",
    "emergency",
    "shutdown",
)

# Beginnings of the emulators' ro.hardware: QEMU's, Cuttlefish's "cutf_cvm" with its forerunners'
# "vsoc_x86_64" and "gce_x86", Genymotion's "vbox86".
EMULATORS = ("goldfish", "ranchu", "cutf", "vsoc", "gce", "vbox86")
# From here on Android has a name for the chip (android.os.Build.SOC_MODEL).
API_OF_SOC_MODEL = 31

_PROPERTY = re.compile(r"^\[(?P<name>[^\]]+)\]: \[(?P<value>.*)\]$", re.MULTILINE)
# A section of its own for each question: one shell, one round trip.
_SECTION = "== ondevice "


@dataclass(frozen=True)
class Phone:
    """A phone as it describes itself.

    Attributes:
        device: what a result says of every device.
        system: what it says of this one's system beside, among its `tools`.
    """

    device: DeviceInfo
    system: Mapping[str, str]


def read_phone(adb: Adb) -> Phone:
    """Ask the phone what it is.

    Raises:
        DeviceError: it does not answer; an answer in an unknown form is no error.
    """
    said = _ask(
        adb,
        {
            "properties": "getprop",
            "cores": "cat /sys/devices/system/cpu/possible",
            "memory": "head -n 1 /proc/meminfo",
        },
    )
    return Phone(
        parse_device(said["properties"], said["cores"], said["memory"], adb.serial),
        parse_system(said["properties"]),
    )


def read_state(adb: Adb) -> DeviceState:
    """Ask the phone how hot and how charged it is.

    Raises:
        DeviceError: it does not answer; an answer in an unknown form is no error.
    """
    said = _ask(
        adb,
        {
            "thermal": "dumpsys thermalservice",
            "battery": "dumpsys battery",
            "low_power": "settings get global low_power",
        },
    )
    return parse_state(said["thermal"], said["battery"], said["low_power"])


def _ask(adb: Adb, questions: Mapping[str, str]) -> dict[str, str]:
    script = "\n".join(
        f"echo; echo '{_SECTION}{name}'; {command} 2>/dev/null"
        for name, command in questions.items()
    )
    answers = dict.fromkeys(questions, "")
    for part in adb.shell(script).stdout.split(f"\n{_SECTION}")[1:]:
        name, _, body = part.partition("\n")
        if name in answers:
            answers[name] = body
    return answers


def parse_device(properties: str, cores: str, memory: str, serial: str) -> DeviceInfo:
    """Read ``getprop``, ``/sys/devices/system/cpu/possible`` and ``/proc/meminfo``."""
    values = _properties(properties)
    name = _first(values, "ro.product.model", "ro.product.device") or f"Android device {serial}"
    # 10^12 kB is below the most that a result takes.
    total = re.search(r"MemTotal:\s+([0-9]{1,12}) kB", memory)
    return DeviceInfo(
        kind="android",
        name=name[:200],
        virtual=_is_emulator(values),
        soc=_soc(values),
        os="Android",
        os_version=_first(values, "ro.build.version.release") or None,
        cores=_count_cores(cores),
        memory_bytes=int(total[1]) * 1024 if total and int(total[1]) else None,
    )


def parse_system(properties: str) -> dict[str, str]:
    """Read from ``getprop`` what tells a system from others of its version."""
    values = _properties(properties)
    found = {
        "Android API level": _first(values, "ro.build.version.sdk"),
        "Android ABI": _first(values, "ro.product.cpu.abi"),
    }
    return {name: value for name, value in found.items() if value}


def _properties(text: str) -> dict[str, str]:
    return {match["name"]: _plain(match["value"]) for match in _PROPERTY.finditer(text)}


def _first(values: Mapping[str, str], *names: str) -> str:
    return next((values[name] for name in names if values.get(name)), "")


def _soc(values: Mapping[str, str]) -> str | None:
    asked = ["ro.soc.model", "ro.hardware"]
    api = values.get("ro.build.version.sdk", "")
    if re.fullmatch(r"[0-9]{1,4}", api) and int(api) < API_OF_SOC_MODEL:
        # Some phones have the property all the same; an app cannot ask them for it.
        asked = asked[1:]
    # "unknown" is Android's own word for what it was not told.
    return next((values[one] for one in asked if values.get(one, "") not in ("", "unknown")), None)


def _is_emulator(values: Mapping[str, str]) -> bool:
    return (
        values.get("ro.hardware", "").startswith(EMULATORS)
        or values.get("ro.build.fingerprint", "").startswith("generic")
        or "emulator" in values.get("ro.build.characteristics", "").split(",")
        or "1" in (values.get("ro.kernel.qemu"), values.get("ro.boot.qemu"))
    )


def _count_cores(text: str) -> int | None:
    """Count a list of ranges, "0-3,6-7"."""
    line = text.strip()
    if not re.fullmatch(r"\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?)*", line):
        return None
    cores = 0
    for part in line.split(","):
        low, _, high = part.partition("-")
        cores += max(int(high or low) - int(low) + 1, 0)
    return cores if 0 < cores <= 4096 else None


def parse_state(thermal: str, battery: str, low_power: str) -> DeviceState:
    """Read ``dumpsys thermalservice``, ``dumpsys battery`` and the setting `low_power`."""
    status = re.search(r"Thermal Status: ([0-9]{1,2})\b", thermal)
    level = re.search(r"^\s*level: (\d{1,3})\s*$", battery, re.MULTILINE)
    # Tenths of a degree Celsius.
    tenths = re.search(r"^\s*temperature: (-?\d{1,4})\s*$", battery, re.MULTILINE)
    powered = re.findall(r"^\s*\w+ powered: (true|false)\s*$", battery, re.MULTILINE)
    # The setting is "null" until it was first changed, which means off.
    modes: dict[str, Literal["normal", "low_power"]] = {"1": "low_power", "0": "normal"}
    mode = modes.get(low_power.strip().replace("null", "0"))
    celsius = int(tenths[1]) / 10 if tenths else None
    percent = int(level[1]) if level else None
    return DeviceState(
        thermal=THERMAL[int(status[1])] if status and int(status[1]) < len(THERMAL) else None,
        temperature_celsius=celsius if celsius is not None and -100 <= celsius <= 200 else None,
        battery_percent=float(percent) if percent is not None and percent <= 100 else None,
        charging="true" in powered if powered else None,
        power_mode=mode,
    )


def _plain(text: str) -> str:
    """Return a property as one line of printable characters."""
    return "".join(char for char in text.strip() if char.isprintable())[:200]
