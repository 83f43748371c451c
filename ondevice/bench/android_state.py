"""What an Android phone tells about itself: model, chip, version, heat, battery, power mode.

Nothing here is needed to measure: what a phone does not tell, or tells in a form that is not
known, is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
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

_PROPERTY = re.compile(r"^\[(?P<name>[^\]]+)\]: \[(?P<value>.*)\]$", re.MULTILINE)
# A section of its own for each question: one shell, one round trip.
_SECTION = "== ondevice "


def read_device(adb: Adb) -> DeviceInfo:
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
    return parse_device(said["properties"], said["cores"], said["memory"], adb.serial)


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
    values = {match["name"]: match["value"] for match in _PROPERTY.finditer(properties)}

    def first(*names: str) -> str:
        return next((_plain(values[name]) for name in names if values.get(name, "").strip()), "")

    maker, chip = first("ro.soc.manufacturer"), first("ro.soc.model")
    soc = f"{maker} {chip}".strip() if chip else first("ro.board.platform", "ro.hardware")
    abi = first("ro.product.cpu.abi")
    version, sdk = first("ro.build.version.release"), first("ro.build.version.sdk")
    name = first("ro.product.model", "ro.product.device") or f"Android device {serial}"
    virtual = "1" in (values.get("ro.kernel.qemu"), values.get("ro.boot.qemu")) or first(
        "ro.hardware"
    ) in ("goldfish", "ranchu")
    total = re.search(r"MemTotal:\s+(\d+) kB", memory)
    return DeviceInfo(
        kind="android",
        name=name[:200],
        virtual=virtual,
        soc=", ".join(part for part in (soc, abi) if part) or None,
        os="Android",
        os_version=version + (f" (API {sdk})" if version and sdk else "") or None,
        cores=_count_cores(cores),
        memory_bytes=int(total[1]) * 1024 if total and int(total[1]) else None,
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
    status = re.search(r"Thermal Status: (\d+)", thermal)
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
