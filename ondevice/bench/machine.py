"""What this computer is, and the state that it is in, as far as the system tells."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import resource
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from ondevice.bench.parts import DeviceInfo, DeviceState, Thermal

SYSFS = Path("/sys/class")
PROC = Path("/proc")
PMSET_SECONDS = 2.0
# What pmset's "Thermal Warning Level" amounts to in the words of ProcessInfo.thermalState: normal,
# danger and crisis (kIOPMThermalWarningLevel… in xnu's iokit/IOKit/pwr_mgt/IOPM.h).
WARNING_LEVELS: dict[int, Thermal] = {0: "nominal", 100: "serious", 10: "critical"}


def describe(before: DeviceState, after: DeviceState) -> DeviceInfo:
    """Return this computer as a device."""
    apple = platform.system() == "Darwin"
    return DeviceInfo(
        kind="host",
        name=(_sysctl("machdep.cpu.brand_string") if apple else _cpu_name()) or "unknown CPU",
        soc=platform.machine() or None,
        os="macOS" if apple else platform.system(),
        os_version=platform.mac_ver()[0] if apple else platform.release(),
        cores=os.cpu_count(),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        before=before,
        after=after,
    )


def read_state(sysfs: Path = SYSFS) -> DeviceState:
    """Return what the system tells about heat, power and other work; nothing is guessed."""
    if platform.system() == "Darwin":
        return _read_mac()
    batteries = sorted(sysfs.glob("power_supply/BAT*"))
    degrees = [value / 1000 for value in _numbers(sysfs.glob("thermal/thermal_zone*/temp"))]
    # Sensors that are not there report nonsense such as -274.
    sane = [value for value in degrees if 0 < value < 150]
    charge = _numbers(battery / "capacity" for battery in batteries[:1])
    return DeviceState(
        temperature_celsius=max(sane, default=None),
        battery_percent=min(max(charge[0], 0.0), 100.0) if charge else None,
        charging=_read(batteries[0] / "status") != "Discharging" if batteries else None,
        load_average=_load_average(),
    )


def _read_mac() -> DeviceState:
    """Ask pmset, which answers everybody; a Mac tells temperatures to root only."""
    battery = _pmset("-g", "batt")
    # A desktop has no such line, and is always connected.
    charge = re.search(r"^ *-InternalBattery.*?(\d+)%", battery, re.MULTILINE)
    source = re.search(r"^Now drawing from '(AC|Battery) Power'", battery, re.MULTILINE)
    # "powermode" where there is a High Power Mode too, which is 2.
    mode = re.search(r"^ *(?:low)?powermode +([012])\b", _pmset("-g"), re.MULTILINE)
    return DeviceState(
        thermal=_heat(_pmset("-g", "therm")),
        battery_percent=min(float(charge[1]), 100.0) if charge else None,
        charging=source[1] == "AC" if charge and source else None,
        power_mode=("low_power" if mode[1] == "1" else "normal") if mode else None,
        load_average=_load_average(),
    )


def _heat(said: str) -> Thermal | None:
    """Return what ``pmset -g therm`` says of heat; None where nothing was recorded.

    That no warning was is no word for cool: on Apple silicon none ever is.
    """
    level = re.search(r"\bThermal Warning Level\s*=\s*(\d{1,9})\b", said)
    found = WARNING_LEVELS.get(int(level[1])) if level else None
    limit = re.search(r"\bCPU_Speed_Limit\s*=\s*(\d{1,9})\b", said)
    if limit is None or found in {"serious", "critical"}:
        return found
    # Percent of the processor's speed: below all of it, it is being slowed down.
    return "nominal" if int(limit[1]) >= 100 else "serious"


def _load_average() -> float:
    return round(os.getloadavg()[0], 2)


def resident_bytes() -> int | None:
    """Return the memory that this process has resident now, in bytes; None where unknown."""
    fields = _read(PROC / "self/statm").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") if fields else None


def peak_bytes() -> tuple[int, str]:
    """Return the most memory that this process ever had resident, in bytes, and how it is known.

    On Linux not ru_maxrss: a child begins with that of the process that started it.
    """
    for line in _read(PROC / "self/status").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024, "VmHWM"
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit, "ru_maxrss"


def _cpu_name() -> str:
    for line in _read(PROC / "cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def _sysctl(name: str) -> str:
    return _output("/usr/sbin/sysctl", "-n", name, seconds=10.0).strip()


def _pmset(*words: str) -> str:
    return _output("pmset", *words, seconds=PMSET_SECONDS)


def _output(*command: str, seconds: float) -> str:
    """Return what a program prints; nothing if it is not there, fails or takes too long."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            check=True,
            timeout=seconds,
        )
        return done.stdout
    return ""


def _numbers(paths: Iterable[Path]) -> list[float]:
    found = []
    for path in paths:
        with contextlib.suppress(ValueError):
            found.append(float(_read(path)))
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
