"""What this machine says about itself."""

from __future__ import annotations

import os

import pytest

from ondevice.bench import machine


@pytest.fixture
def linux(monkeypatch):
    monkeypatch.setattr(machine.platform, "system", lambda: "Linux")


@pytest.fixture
def sysfs(tmp_path, linux):
    def write(path, text):
        place = tmp_path / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    return tmp_path, write


def test_a_machine_without_sensors_or_battery_says_so(tmp_path, linux, monkeypatch):
    monkeypatch.setattr(machine.os, "getloadavg", lambda: (1.234, 9, 9))
    state = machine.read_state(tmp_path)
    assert state.model_dump(exclude_none=True) == {"load_average": 1.23}


def test_the_hottest_sane_sensor_and_the_battery_count(sysfs):
    root, write = sysfs
    for number, text in enumerate(("41500\n", "63000\n", "-274000\n", "broken\n", "250000\n")):
        write(f"thermal/thermal_zone{number}/temp", text)
    write("power_supply/BAT0/capacity", "104\n")
    write("power_supply/BAT0/status", "Discharging\n")
    state = machine.read_state(root)
    assert (state.temperature_celsius, state.battery_percent, state.charging) == (63, 100, False)
    write("power_supply/BAT0/status", "Full\n")
    assert machine.read_state(root).charging is True


# What pmset printed on Macs of others, recorded in public repositories; no Mac took part here.
# "made": put together after the lines of Apple's pmset.c, which prints them.
DRAWING = {
    "charged": (
        "Now drawing from 'AC Power'\n"
        " -InternalBattery-0 (id=24576099)\t100%; charged; 0:00 remaining present: true\n"
    ),
    "on battery": (
        "Now drawing from 'Battery Power'\n"
        " -InternalBattery-0 (id=24313955)\t27%; discharging; 3:32 remaining present: true\n"
    ),
    "held": (
        "Now drawing from 'AC Power'\n"
        " -InternalBattery-0 (id=28442723)\t7%; AC attached; not charging present: true\n"
    ),
    "desktop": "Now drawing from 'AC Power'\n",
}
SILENT = (
    "Note: No thermal warning level has been recorded\n"
    "Note: No performance warning level has been recorded\n"
)
CPU_POWER = (
    "2026-09-21 11:00:04 -0400 CPU Power notify\n"
    "\tCPU_Scheduler_Limit \t= 100\n\tCPU_Available_CPUs \t= 8\n\tCPU_Speed_Limit \t= {}\n"
)
WARNING = (  # made
    "2026-09-23 14:05:31 -0700 Thermal Warning Level = {}\n"
    "Note: No performance warning level has been recorded\n"
)
IN_USE = """System-wide power settings:
Currently in use:
 standby              1
 Sleep On Power Button 1
 hibernatefile        /var/vm/sleepimage
 sleep                1 (sleep prevented by powerd)
 lowpowermode         {}
 womp                 0
"""


@pytest.fixture
def mac(tmp_path, monkeypatch):
    """Take this for a Mac with a pmset that prints what is given; a stand-in on PATH."""
    monkeypatch.setattr(machine.platform, "system", lambda: "Darwin")
    monkeypatch.setattr(machine.os, "getloadavg", lambda: (0.5, 9, 9))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    def read(*, batt="", therm="", plain="", code="exec cat"):
        for name, text in {"batt": batt, "therm": therm, "plain": plain}.items():
            (tmp_path / name).write_text(text)
        stub = tmp_path / "pmset"
        stub.write_text(f'#!/bin/sh\n[ "$1" = -g ] || exit 1\n{code} {tmp_path}/"${{2:-plain}}"\n')
        stub.chmod(0o755)
        return machine.read_state().model_dump(exclude_none=True, exclude={"load_average"})

    return read


@pytest.mark.parametrize(
    ("drawing", "expected"),
    [
        ("charged", {"battery_percent": 100, "charging": True}),
        ("on battery", {"battery_percent": 27, "charging": False}),
        ("held", {"battery_percent": 7, "charging": True}),
        ("desktop", {}),
    ],
)
def test_a_mac_s_battery(drawing, expected, mac):
    assert mac(batt=DRAWING[drawing], therm=SILENT) == expected


@pytest.mark.parametrize(
    ("said", "thermal"),
    [
        (SILENT + "Note: No CPU power status has been recorded\n", None),
        (SILENT + CPU_POWER.format(100), "nominal"),
        (SILENT + CPU_POWER.format(62), "serious"),
        (WARNING.format(0), "nominal"),
        (WARNING.format(0) + CPU_POWER.format(62), "serious"),
        (WARNING.format(100) + CPU_POWER.format(100), "serious"),
        (WARNING.format(10) + CPU_POWER.format(62), "critical"),
        (WARNING.format(70), None),
        (WARNING.format("9" * 5000), None),
        ("Error: No thermal warning level with error code 0xe00002c2\n", None),
    ],
)
def test_a_mac_s_heat(said, thermal, mac):
    assert mac(therm=said).get("thermal") == thermal


@pytest.mark.parametrize(
    ("said", "mode"),
    [
        (IN_USE.format(0), "normal"),
        (IN_USE.format(1), "low_power"),
        (IN_USE.replace("lowpowermode", "powermode").format(2), "normal"),
        (IN_USE.replace("lowpowermode", "powermode").format(1), "low_power"),
        (IN_USE.replace("lowpowermode", "ttyskeepawake").format(1), None),
    ],
)
def test_a_mac_s_power_mode(said, mode, mac):
    assert mac(plain=said).get("power_mode") == mode


@pytest.mark.parametrize("code", ["exit 1;", "exec sleep 60;"])
def test_a_pmset_that_fails_or_hangs_tells_nothing(code, mac, monkeypatch):
    monkeypatch.setattr(machine, "PMSET_SECONDS", 0.2)
    assert mac(batt=DRAWING["charged"], plain=IN_USE.format(1), code=code) == {}


def test_a_mac_without_pmset_tells_nothing(mac, tmp_path, monkeypatch):
    mac()
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    state = machine.read_state()
    assert state.model_dump(exclude_none=True) == {"load_average": 0.5}


def test_this_machine_is_described():
    state = machine.read_state()
    device = machine.describe(state, state)
    assert device.kind == "host"
    assert device.cores == os.cpu_count()
    assert device.memory_bytes > 10**8
    assert device.name


def test_peak_memory_grows_with_what_is_held():
    before, method = machine.peak_bytes()
    held = bytearray(200_000_000)
    held[::4096] = b"x" * len(held[::4096])
    peak, _ = machine.peak_bytes()
    assert method in {"VmHWM", "ru_maxrss"}
    assert peak >= max(before, 200_000_000)
    resident = machine.resident_bytes()
    assert resident is None or 200_000_000 < resident <= peak
    del held
    # The kernel counts in batches for each CPU: it may be a few pages off.
    assert machine.peak_bytes()[0] >= peak - 2_000_000
