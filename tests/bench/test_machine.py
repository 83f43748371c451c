"""What this machine says about itself."""

from __future__ import annotations

import os

import pytest

from ondevice.bench import machine


@pytest.fixture
def sysfs(tmp_path):
    def write(path, text):
        place = tmp_path / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    return tmp_path, write


def test_a_machine_without_sensors_or_battery_says_so(tmp_path, monkeypatch):
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
