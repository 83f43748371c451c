"""What a phone tells about itself, in the usual and in odd forms. Samples after AOSP's sources."""

from __future__ import annotations

from typing import get_args

import pytest

from ondevice.bench.android_files import parse_free
from ondevice.bench.android_output import BenchmarkModelOutput, ExecutorRunnerOutput, Stat
from ondevice.bench.android_state import THERMAL, parse_device, parse_state, parse_system
from ondevice.bench.android_times import (
    Ran,
    benchmark_model_times,
    executor_runner_times,
    memory_of,
)
from ondevice.bench.parts import Thermal
from tests.bench.phone import BATTERY, DF, PROPERTIES


class TestDevice:
    def test_an_older_phone_has_no_name_for_its_chip(self):
        said = "[ro.board.platform]: [sdm845]\n[ro.hardware]: [blueline]\n"
        device = parse_device(f"{said}[ro.product.model]: [Pixel 3]\n", "0-7", "", "SERIAL")
        assert (device.name, device.soc, device.os_version) == ("Pixel 3", "blueline", None)
        assert (device.cores, device.memory_bytes) == (8, None)

    @pytest.mark.parametrize(
        ("api", "chip", "soc"),
        [
            ("34", "Tensor G3", "Tensor G3"),
            ("31", "Tensor G3", "Tensor G3"),
            ("34", "unknown", "shiba"),
            ("34", "", "shiba"),
            # An app could not ask for it.
            ("30", "Tensor G3", "shiba"),
            ("9" * 5000, "Tensor G3", "Tensor G3"),
        ],
    )
    def test_the_chip_is_what_an_app_is_told(self, api: str, chip: str, soc: str):
        said = f"[ro.soc.model]: [{chip}]\n[ro.build.version.sdk]: [{api}]\n"
        assert parse_device(PROPERTIES + said, "", "", "S").soc == soc

    def test_what_has_no_field_of_its_own(self):
        assert parse_system(PROPERTIES) == {
            "Android API level": "34",
            "Android ABI": "arm64-v8a",
        }
        assert parse_system("") == {}

    def test_nothing(self):
        device = parse_device("", "", "", "SERIAL")
        assert (device.name, device.soc, device.cores) == ("Android device SERIAL", None, None)
        assert not device.virtual

    @pytest.mark.parametrize(
        ("text", "cores"),
        [
            ("0-7\n", 8),
            ("0", 1),
            ("0-3,6-7", 6),
            ("", None),
            ("0-99999", None),
            ("7-0", None),
            ("a-b", None),
        ],
    )
    def test_cores(self, text: str, cores: int | None):
        assert parse_device("", text, "", "S").cores == cores

    @pytest.mark.parametrize(
        ("text", "size"),
        [
            ("MemTotal:        7812345 kB\n", 7812345 * 1024),
            ("MemTotal: 0 kB\n", None),
            (f"MemTotal: {2**50} kB\n", None),
            (f"MemTotal: {'9' * 5000} kB\n", None),
            ("MemTotal: x kB\n", None),
        ],
    )
    def test_memory(self, text: str, size: int | None):
        assert parse_device("", "", text, "S").memory_bytes == size

    # The same for the app: PhoneIdentityTest.kt.
    @pytest.mark.parametrize(
        "line",
        [
            "[ro.hardware]: [ranchu]",
            "[ro.hardware]: [goldfish]",
            "[ro.hardware]: [cutf_cvm]",
            "[ro.hardware]: [vsoc_x86_64]",
            "[ro.hardware]: [gce_x86]",
            "[ro.hardware]: [vbox86]",
            "[ro.build.fingerprint]: [generic/aosp_cf_x86_64_phone/vsoc_x86_64:14/1/1:userdebug/x]",
            "[ro.build.characteristics]: [nosdcard,emulator]",
            "[ro.kernel.qemu]: [1]",
            "[ro.boot.qemu]: [1]",
        ],
    )
    def test_emulators(self, line: str):
        assert parse_device(f"{PROPERTIES}{line}", "", "", "S").virtual

    def test_a_phone_is_no_emulator(self):
        assert not parse_device(PROPERTIES, "", "", "S").virtual
        assert not parse_device(f"{PROPERTIES}[ro.kernel.qemu]: [0]", "", "", "S").virtual

    def test_control_characters_go(self):
        device = parse_device("[ro.product.model]: [Evil\x1b[31m \x07Phone]", "", "", "S")
        assert device.name == "Evil[31m Phone"


class TestState:
    def test_thermal_words_are_the_schemas(self):
        assert set(THERMAL) <= set(get_args(Thermal))

    @pytest.mark.parametrize(
        ("text", "word"),
        [
            ("IsStatusOverride: false\nThermal Status: 0\n", "none"),
            ("Thermal Status: 4", "critical"),
            ("Thermal Status: 7", None),
            (f"Thermal Status: {'1' * 5000}", None),
            ("Can't find service: thermalservice", None),
        ],
    )
    def test_thermal(self, text: str, word: str | None):
        assert parse_state(text, "", "").thermal == word

    def test_battery(self):
        state = parse_state("", BATTERY, "0\n")
        assert (state.temperature_celsius, state.battery_percent) == (30.1, 87.0)
        assert (state.charging, state.power_mode) == (True, "normal")

    @pytest.mark.parametrize(
        "text", ["", "level: 101", "level: -5", "  level: 87x", "  temperature: 99999"]
    )
    def test_battery_that_is_none(self, text: str):
        state = parse_state("", text, "")
        assert (state.battery_percent, state.temperature_celsius, state.charging) == (None,) * 3

    @pytest.mark.parametrize(
        ("text", "mode"),
        [("1\n", "low_power"), ("0\n", "normal"), ("null\n", "normal"), ("", None), ("2", None)],
    )
    def test_power_mode(self, text: str, mode: str | None):
        assert parse_state("", "", text).power_mode == mode


@pytest.mark.parametrize(
    ("text", "free"),
    [
        (DF.format(free=1234), 1234 * 1024),
        (
            "Filesystem 1K-blocks Used Available Use% Mounted on\n/a/long/name\n 9 5 4 5% /data\n",
            4096,
        ),
        ("df: x: Permission denied\n", None),
        ("", None),
        ("Filesystem\n/data 5G 1G 4G 4096\n", None),
    ],
)
def test_free_space(text: str, free: int | None):
    assert parse_free(text) == free


class TestTimes:
    def test_what_is_no_time_is_left_out(self):
        said = BenchmarkModelOutput(init=0.0, first=1e30, runs=Stat(50, mean=20.0, median=1e30))
        (only,) = benchmark_model_times([Ran(8, True, said)], 0)
        assert (only.kind, only.length) == ("model_only", 8)
        assert only.reported is not None
        assert (only.reported.mean, only.reported.median) == (20_000, None)

    def test_one_bad_time_drops_the_series_and_keeps_the_mean(self):
        said = ExecutorRunnerOutput(executed=3, total=30.0, iterations=(10.0, 0.0, 20.0))
        found = executor_runner_times([Ran(8, True, said)], 0)
        (model,) = [one for one in found if one.kind == "model_only"]
        assert model.samples == ()
        assert model.reported is not None
        assert model.reported.mean == 10_000_000

    def test_a_process_that_answers_is_not_timed(self):
        said = ExecutorRunnerOutput(executed=1, total=30.0, iterations=(30.0,), load=5.0)
        kinds = [one.kind for one in executor_runner_times([Ran(8, False, said)], 10)]
        assert kinds == ["load_cold", "first_inference"]

    @pytest.mark.parametrize("peak", [None, 0.0, 1e30])
    def test_memory_that_is_none(self, peak: float | None):
        assert memory_of(BenchmarkModelOutput(peak_mib=peak)) is None
