"""Benchmarks on a phone: the real ``adb``, a device end on loopback, programs that answer."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ondevice.bench import BenchOptions, android, android_plan
from ondevice.bench.adb import DeviceError, DeviceLostError, DeviceStorageError, DeviceTimeoutError
from ondevice.bench.results import BenchmarkResult, Measurement, parse_result
from ondevice.console import Progress
from ondevice.errors import GateError, UserError
from ondevice.report.study import device_key
from tests.bench.adb_device import AdbDevice
from tests.bench.phone import (  # noqa: F401
    MODEL_BYTES,
    PROPERTIES,
    AdbServer,
    adb_server,
    app_document,
    is_running,
    make_bundle,
    make_program,
    module_server,
    phone,
)
from tests.requirements import need

need("adb")

OPTIONS = BenchOptions(iterations=50, threads=2, seconds=20)


@pytest.fixture
def device(tmp_path: Path, adb_server: AdbServer):  # noqa: F811
    with phone(tmp_path / "phone") as one:
        adb_server.connect(one)
        yield one


class Bench:
    """Runs the benchmark and keeps what it kept and said."""

    def __init__(self, device: AdbDevice) -> None:
        self.device = device
        self.kept: list[BenchmarkResult] = []
        self.said = io.StringIO()

    def __call__(
        self, bundles: Sequence[Path], options: BenchOptions = OPTIONS
    ) -> list[BenchmarkResult]:
        return android.run(
            bundles,
            options,
            identifier=self.device.serial,
            keep=self.keep,
            progress=Progress(self.said),
        )

    def keep(self, result: BenchmarkResult) -> None:
        # Everything that is kept must be readable again.
        assert parse_result(result.model_dump_json().encode(), "kept") == result
        self.kept.append(result)

    def left(self) -> list[str]:
        return [path.name for path in self.device.tmp.iterdir()]


@pytest.fixture
def bench(device: AdbDevice) -> Bench:
    return Bench(device)


@pytest.fixture
def with_runner(tmp_path: Path) -> Callable[..., BenchOptions]:
    def get(*names: str, mode: str = "right", **options: float) -> BenchOptions:
        files = tuple(make_program(tmp_path / mode, name, mode) for name in names)
        return replace(OPTIONS, runners=files, **options)

    return get


def find(result: BenchmarkResult, kind: str, length: int | None = None) -> Measurement:
    (found,) = [one for one in result.measurements if (one.kind, one.length) == (kind, length)]
    return found


class TestBenchmarkModel:
    def test_a_whole_run(
        self, bench: Bench, tmp_path: Path, with_runner: Callable[..., BenchOptions]
    ):
        (result,) = bench([make_bundle(tmp_path / "b")], with_runner("benchmark_model"))
        assert (result.status, result.evidence) == ("complete", "phone")
        assert result.golden.status == "passed"
        assert result.golden.checked == 3
        assert result.golden.max_abs is not None
        assert result.golden.max_abs < 1e-6
        times = find(result, "model_only", 8)
        assert times.samples == ()
        assert times.reported is not None
        assert times.reported.count == 50
        assert times.reported.median == 8 * 99 * 1000
        assert times.reported.mean == 8 * 100 * 1000 + 500
        assert times.reported.p95 == 8 * 120 * 1000
        assert times.reported.p90 is None
        assert times.warmup_runs == 10
        assert find(result, "model_only", 16).reported is not None
        # Each process loads once; the first of them is watched for its memory, and left out.
        assert find(result, "load_cold").samples == (61_234_000,) * 4
        assert find(result, "first_inference", 16).samples == (16 * 200 * 1000,) * 3
        assert result.memory is not None
        assert result.memory.peak_bytes == 66.5 * 2**20
        assert [(one.nodes, one.total) for one in result.placements] == [(30, 34)]
        # XNNPACK is the CPU: nothing can fall back from it.
        assert result.cpu_fallback is None
        assert result.runtime.accelerator == "xnnpack"
        assert result.protocol is not None
        assert (result.protocol.threads, result.protocol.order) == (2, "alone")
        assert "statistics, not samples" in result.notes[0]
        assert bench.left() == []

    def test_the_phone_describes_itself(
        self, bench: Bench, tmp_path: Path, with_runner: Callable[..., BenchOptions]
    ):
        (result,) = bench([make_bundle(tmp_path / "b")], with_runner("benchmark_model"))
        about = result.device
        assert (about.kind, about.name, about.virtual) == ("android", "Pixel 8", False)
        assert about.soc == "Tensor G3"
        assert (about.os, about.os_version) == ("Android", "14")
        assert result.tools["Android API level"] == "34"
        assert result.tools["Android ABI"] == "arm64-v8a"
        assert (about.cores, about.memory_bytes) == (9, 7812345 * 1024)
        for state in (about.before, about.after):
            assert (state.thermal, state.temperature_celsius) == ("none", 30.1)
            assert (state.battery_percent, state.charging) == (87, True)
            assert state.power_mode == "normal"

    def test_it_is_the_device_that_the_app_says_it_is(
        self, bench: Bench, tmp_path: Path, with_runner: Callable[..., BenchOptions]
    ):
        one = make_bundle(tmp_path / "b")
        (result,) = bench([one], with_runner("benchmark_model"))
        app = parse_result(json.dumps(app_document(one)).encode(), "the app's")
        assert device_key(result) == device_key(app)

    def test_an_emulator_is_no_phone(
        self, bench: Bench, tmp_path: Path, with_runner: Callable[..., BenchOptions]
    ):
        said = PROPERTIES.replace("[ro.hardware]: [shiba]", "[ro.hardware]: [cutf_cvm]")
        bench.device.install("getprop", f"cat <<'END'\n{said}END")
        (result,) = bench([make_bundle(tmp_path / "b")], with_runner("benchmark_model"))
        assert (result.device.virtual, result.evidence) == (True, "host")

    def test_flags(self, bench: Bench, tmp_path: Path, with_runner: Callable[..., BenchOptions]):
        bench([make_bundle(tmp_path / "b")], with_runner("benchmark_model"))
        timed = [one for one in bench.device.commands if "--num_runs=50" in one]
        assert len(timed) == 2
        for flag in (
            "--signature_to_run_for=length_8",
            "--num_threads=2",
            "--use_xnnpack=true",
            "--input_layer=input_ids,attention_mask",
            "--input_layer_shape=1,8:1,8",
            "--input_layer_value_files=input_ids:0-8-",
            "--min_secs=0",
        ):
            assert flag in timed[0]
        # Ids and masks of a build that takes no files lie in the goldens' own ranges.
        low, high = timed[0].split("--input_layer_value_range=input_ids,")[1].split(",")[:2]
        assert 0 <= int(low) <= int(high.split(":")[0]) < 100
        assert ":attention_mask,1,1" in timed[0]
        assert "report_peak_memory_footprint" not in "".join(timed)

    def test_one_that_answers_wrongly_is_never_timed(
        self, bench: Bench, tmp_path: Path, with_runner: Callable[..., BenchOptions]
    ):
        with pytest.raises(GateError, match="does not give its goldens' answers on the phone"):
            bench([make_bundle(tmp_path / "b")], with_runner("benchmark_model", mode="wrong"))
        assert not any("--num_runs=50" in one for one in bench.device.commands)
        (kept,) = bench.kept
        assert (kept.status, kept.golden.status, kept.measurements) == ("partial", "failed", ())
        assert kept.golden.max_abs == pytest.approx(1.0, abs=1e-5)
        assert bench.left() == []

    def test_an_old_build_cannot_be_asked(
        self, bench: Bench, tmp_path: Path, with_runner: Callable[..., BenchOptions]
    ):
        one = make_bundle(tmp_path / "b", lengths=(16,))
        (result,) = bench([one], with_runner("benchmark_model", mode="old"))
        assert result.golden.status == "not_run"
        assert "has no --input_layer_value_files" in result.golden.reason
        assert (result.status, result.evidence) == ("complete", "phone")
        assert find(result, "model_only", 16).reported is not None

    def test_an_old_build_runs_the_longest_length_only(
        self, bench: Bench, tmp_path: Path, with_runner: Callable[..., BenchOptions]
    ):
        with pytest.raises(
            UserError, match="nothing ran on the phone: made-up tflite fp32: "
        ) as it:
            bench([make_bundle(tmp_path / "b")], with_runner("benchmark_model", mode="old"))
        assert "has no --signature_to_run_for: it runs length 16 only" in str(it.value)
        assert it.value.exit_code == 2
        (result,) = bench.kept
        assert (result.evidence, result.golden.status) == ("not run", "not_run")
        assert result.measurements == ()

    def test_fewer_runs_than_asked(
        self, bench: Bench, tmp_path: Path, with_runner: Callable[..., BenchOptions]
    ):
        (result,) = bench([make_bundle(tmp_path / "b")], with_runner("benchmark_model", mode="few"))
        assert result.status == "partial"
        assert result.reason == "at length 8: benchmark_model made 7 of 50 runs"
        assert find(result, "model_only", 8).reported is not None

    @pytest.mark.parametrize(
        ("mode", "reason"),
        [
            ("crash", "Didn't find op for builtin opcode 'FULLY_CONNECTED' version '12'"),
            ("garbage", "benchmark_model failed: exit code 0, its last line: "),
            ("short", "the program wrote 15 values, the artifact's outputs have 16"),
        ],
    )
    def test_programs_that_do_not_work(
        self,
        mode: str,
        reason: str,
        bench: Bench,
        tmp_path: Path,
        with_runner: Callable[..., BenchOptions],
    ):
        """Not absent: the program is there, and its answer is no right one."""
        with pytest.raises(GateError, match="does not give its goldens' answers on the phone"):
            bench([make_bundle(tmp_path / "b")], with_runner("benchmark_model", mode=mode))
        (result,) = bench.kept
        assert (result.status, result.evidence) == ("partial", "phone")
        assert reason in result.reason
        assert result.golden.status == "failed"
        assert bench.left() == []

    @pytest.mark.parametrize("delegate", ["gpu", "nnapi"])
    def test_what_an_accelerator_leaves_falls_back_to_the_cpu(
        self,
        delegate: str,
        bench: Bench,
        tmp_path: Path,
        with_runner: Callable[..., BenchOptions],
    ):
        options = with_runner("benchmark_model", delegate=delegate)
        (result,) = bench([make_bundle(tmp_path / "b", lengths=(16,))], options)
        assert result.runtime.accelerator == delegate
        assert result.cpu_fallback is True
        assert [(one.nodes, one.total) for one in result.placements] == [(30, 34)]
        timed = [one for one in bench.device.commands if "--num_runs=50" in one]
        assert f"--use_{delegate}=true --use_xnnpack=false" in timed[0]

    @pytest.mark.parametrize(
        ("mode", "lengths", "code"),
        [("crash", (16,), 3), ("short", (16,), 3), ("old", (8, 16), 2), ("old", (16,), 0)],
    )
    def test_exit_codes(
        self,
        mode: str,
        lengths: tuple[int, ...],
        code: int,
        bench: Bench,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ):
        from ondevice.cli import main

        program = make_program(tmp_path / "bin", "benchmark_model", mode)
        one = make_bundle(tmp_path / "b", lengths=lengths)
        command = ["bench", str(one), "--device", f"android:{bench.device.serial}"]
        command += ["--runner", str(program), "--out", str(tmp_path / "results")]
        assert main(command) == code
        captured = capsys.readouterr()
        if code:
            assert captured.out == ""
            assert captured.err.splitlines()[-1].startswith("ondevice: ")
        else:
            assert "golden check not run: made-up tflite fp32: this build of" in captured.out
        assert len(list((tmp_path / "results").iterdir())) == 1


class TestExecutorRunner:
    @pytest.mark.parametrize("mode", ["right", "logcat"])
    def test_each_run_is_a_sample(
        self, mode: str, bench: Bench, tmp_path: Path, with_runner: Callable[..., BenchOptions]
    ):
        one = make_bundle(tmp_path / "b", "executorch")
        (result,) = bench([one], with_runner("executor_runner", mode=mode))
        assert (result.status, result.evidence, result.golden.status) == (
            "complete",
            "phone",
            "passed",
        )
        times = find(result, "model_only", 8)
        assert len(times.samples) == 50
        assert times.warmup_runs == 10
        assert max(times.samples) == 24_250_000
        assert find(result, "load_cold").samples == (41_250_000,) * 5
        assert find(result, "first_inference", 8).samples == (30_000_000,) * 2
        assert result.cpu_fallback is None
        assert result.notes == ()
        assert any("--method_name=forward_16" in one for one in bench.device.commands)

    def test_a_total_only(
        self, bench: Bench, tmp_path: Path, with_runner: Callable[..., BenchOptions]
    ):
        one = make_bundle(tmp_path / "b", "executorch", lengths=(16,))
        (result,) = bench([one], with_runner("executor_runner", mode="total"))
        times = find(result, "model_only", 16)
        assert times.samples == ()
        assert times.reported is not None
        assert times.reported.count == 60
        assert times.reported.median is None
        assert times.warmup_runs == 0
        assert "the mean is of all 60 runs" in result.notes[0]
        assert find(result, "first_inference", 16).samples == (30_000_000,) * 2

    def test_a_build_without_logging(
        self, bench: Bench, tmp_path: Path, with_runner: Callable[..., BenchOptions]
    ):
        one = make_bundle(tmp_path / "b", "executorch", lengths=(16,))
        with pytest.raises(UserError, match="said nothing of its runs; take a build that logs"):
            bench([one], with_runner("executor_runner", mode="silent"))
        assert bench.kept[-1].evidence == "not run"

    def test_its_peak_memory_is_the_kernel_s(
        self, bench: Bench, tmp_path: Path, with_runner: Callable[..., BenchOptions]
    ):
        one = make_bundle(tmp_path / "b", "executorch", lengths=(16,))
        (result,) = bench([one], with_runner("executor_runner", mode="large"))
        assert result.memory is not None
        assert result.memory.method == "VmHWM, polled"
        assert 64 * 2**20 < result.memory.peak_bytes < 200 * 2**20
        # Looking costs time: never where it is timed, and once is enough.
        watched = [one for one in bench.device.commands if "VmHWM" in one]
        assert len(watched) == 1
        assert "--num_executions=1 " in watched[0]

    def test_a_program_that_fails_while_watched_keeps_its_exit_code(
        self, bench: Bench, tmp_path: Path, with_runner: Callable[..., BenchOptions]
    ):
        one = make_bundle(tmp_path / "b", "executorch", lengths=(16,))
        with pytest.raises(GateError, match="exit code 1, its last line: ERROR: Didn't find op"):
            bench([one], with_runner("executor_runner", mode="crash"))

    def test_another_method_than_the_one_asked_for(
        self, bench: Bench, tmp_path: Path, with_runner: Callable[..., BenchOptions]
    ):
        one = make_bundle(tmp_path / "b", "executorch")
        with pytest.raises(GateError, match="ran the method 'forward_other', not 'forward_8'"):
            bench([one], with_runner("executor_runner", mode="method"))

    def test_a_single_length_runs_on_a_build_without_names_of_methods(
        self, bench: Bench, tmp_path: Path, with_runner: Callable[..., BenchOptions]
    ):
        options = with_runner("executor_runner", mode="old")
        single = make_bundle(tmp_path / "one", "executorch", lengths=(16,))
        several = make_bundle(tmp_path / "two", "executorch", seed=1)
        first, second = bench([single, several], options)
        assert first.status == "complete"
        assert second.evidence == "not run"
        assert "too old: unknown command line flag 'method_name'" in second.reason


class TestSeveral:
    def test_all_are_checked_before_any_is_timed(
        self, bench: Bench, tmp_path: Path, with_runner: Callable[..., BenchOptions]
    ):
        bundles = [make_bundle(tmp_path / "t"), make_bundle(tmp_path / "e", "executorch")]
        results = bench(bundles, with_runner("benchmark_model", "executor_runner"))
        assert [one.status for one in results] == ["complete", "complete"]
        commands = bench.device.commands
        timed = [at for at, one in enumerate(commands) if "--num_runs=50" in one or "=60" in one]
        checked = [
            at for at, one in enumerate(commands) if "--num_runs=1 " in one or "ons=1 " in one
        ]
        assert len(timed) == 4
        assert len(checked) == 6
        assert max(checked) < min(timed)

    def test_without_a_program_for_it(
        self, bench: Bench, tmp_path: Path, with_runner: Callable[..., BenchOptions]
    ):
        bundles = [
            make_bundle(tmp_path / "t"),
            make_bundle(tmp_path / "e", "executorch"),
            make_bundle(tmp_path / "o", "onnx"),
        ]
        first, second, third = bench(bundles, with_runner("benchmark_model"))
        assert first.status == "complete"
        assert second.evidence == third.evidence == "not run"
        assert "take --runner executor_runner, or --app" in second.reason
        assert "onnx artifacts take --app" in third.reason


class TestRefusals:
    """One sentence each; none of them reaches the phone."""

    def run(self, bundles: Sequence[Path], options: BenchOptions) -> None:
        android.run(
            bundles, options, identifier=None, keep=lambda _: None, progress=Progress(io.StringIO())
        )

    def test_nothing_to_run_with(self, tmp_path: Path):
        with pytest.raises(UserError) as caught:
            self.run([make_bundle(tmp_path / "b")], OPTIONS)
        assert str(caught.value) == (
            "there is nothing on the phone to run the bundles with: give --runner benchmark_model"
            " (the program's file, built for Android), or install the demo app with the bundles in"
            " it and give --app dev.ondevice.qa"
        )
        with pytest.raises(UserError, match="no program times onnx artifacts there; install"):
            self.run([make_bundle(tmp_path / "o", "onnx")], OPTIONS)

    def test_programs_by_name(self, tmp_path: Path):
        for name in ("android_arm64_benchmark_model", "executor_runner", "other"):
            (tmp_path / name).touch()
        known = [tmp_path / "android_arm64_benchmark_model", tmp_path / "executor_runner"]
        assert android_plan.sort_programs(known) == {"tflite": known[0], "executorch": known[1]}
        with pytest.raises(UserError, match="is no program for phones; its name must hold"):
            android_plan.sort_programs([tmp_path / "other"])
        with pytest.raises(UserError, match="are the same program"):
            android_plan.sort_programs([known[0], known[0]])
        with pytest.raises(UserError, match="no file"):
            android_plan.sort_programs([tmp_path / "benchmark_model"])

    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            (replace(OPTIONS, baseline="teacher"), "--baseline runs in PyTorch"),
            (
                replace(OPTIONS, data=Path("dev.json")),
                "scores and real traffic come from --device host",
            ),
            (
                replace(OPTIONS, delegate="gpu"),
                "there is nothing on the phone to run the bundles with",
            ),
            (
                replace(OPTIONS, app="a.b", delegate="gpu"),
                "--delegate gpu is for benchmark_model and tflite bundles",
            ),
            (
                replace(OPTIONS, app="a.b", runners=(Path("benchmark_model"),)),
                "give --runner or --app, not both",
            ),
        ],
    )
    def test_options(self, options: BenchOptions, sentence: str, tmp_path: Path):
        with pytest.raises(UserError, match=sentence):
            self.run([make_bundle(tmp_path / "b")], options)


class TestFailures:
    def test_storage_full_is_seen_before(
        self,
        tmp_path: Path,
        adb_server: AdbServer,  # noqa: F811
        with_runner: Callable[..., BenchOptions],
    ):
        from tests.bench.phone import stubs

        with phone(tmp_path / "phone", stubs(free=1000)) as one:
            adb_server.connect(one)
            bench = Bench(one)
            with pytest.raises(DeviceStorageError, match="has 1 MB free, and 16 MB are needed"):
                bench([make_bundle(tmp_path / "b")], with_runner("benchmark_model"))
            assert one.pushed == 0
            assert bench.left() == []

    def test_storage_full_on_the_way(
        self, bench: Bench, tmp_path: Path, with_runner: Callable[..., BenchOptions]
    ):
        bench.device.faults.full_after = MODEL_BYTES // 2
        with pytest.raises(DeviceStorageError, match=r"no space left: copying 'model\.tflite'"):
            bench([make_bundle(tmp_path / "b")], with_runner("benchmark_model"))
        assert bench.left() == []
        assert bench.kept == []

    def test_a_damaged_file(
        self, bench: Bench, tmp_path: Path, with_runner: Callable[..., BenchOptions]
    ):
        bench.device.faults.corrupt = True
        with pytest.raises(DeviceError, match=r"did not arrive .* as it was sent: its SHA-256"):
            bench([make_bundle(tmp_path / "b")], with_runner("benchmark_model"))
        assert bench.left() == []

    def test_sizes_are_compared_where_there_is_no_sha256sum(
        self, bench: Bench, tmp_path: Path, with_runner: Callable[..., BenchOptions]
    ):
        (bench.device.root / "bin" / "sha256sum").unlink()
        (result,) = bench([make_bundle(tmp_path / "b")], with_runner("benchmark_model"))
        assert result.status == "complete"
        bench.device.install("wc", "echo 5")
        with pytest.raises(DeviceError, match="it has 5 bytes of"):
            bench([make_bundle(tmp_path / "c")], with_runner("benchmark_model"))

    def test_unplugged_during_the_push(
        self, bench: Bench, tmp_path: Path, with_runner: Callable[..., BenchOptions]
    ):
        bench.device.faults.unplug_after = MODEL_BYTES // 2
        with pytest.raises(DeviceLostError, match=r"went away .*: copying 'model\.tflite' to it"):
            bench([make_bundle(tmp_path / "b")], with_runner("benchmark_model"))
        # The phone keeps what it has; the user is told where, and how to remove it.
        (left,) = bench.left()
        assert f"'/data/local/tmp/{left}' may be left on the phone" in bench.said.getvalue()
        assert f"shell rm -rf /data/local/tmp/{left}" in bench.said.getvalue()

    def test_unplugged_between_two_lengths_keeps_the_first(
        self, bench: Bench, tmp_path: Path, with_runner: Callable[..., BenchOptions]
    ):
        bench.device.faults.unplug_on = "--signature_to_run_for=length_16 .*--num_runs=50"
        with pytest.raises(DeviceLostError, match="went away"):
            bench([make_bundle(tmp_path / "b")], with_runner("benchmark_model"))
        last = bench.kept[-1]
        assert last.status == "partial"
        assert "went away" in last.reason
        assert find(last, "model_only", 8).reported is not None
        assert [one.length for one in last.measurements if one.kind == "model_only"] == [8]

    def test_a_phone_lost_during_the_second_leaves_the_first_whole(
        self, bench: Bench, tmp_path: Path, with_runner: Callable[..., BenchOptions]
    ):
        bench.device.faults.unplug_on = "--num_executions=60"
        bundles = [make_bundle(tmp_path / "t"), make_bundle(tmp_path / "e", "executorch")]
        with pytest.raises(DeviceLostError, match="went away"):
            bench(bundles, with_runner("benchmark_model", "executor_runner"))
        last = {one.artifact.target: one for one in bench.kept}
        assert (last["tflite"].status, last["tflite"].reason) == ("complete", "")
        assert last["executorch"].status == "partial"
        assert "went away" in last["executorch"].reason

    def test_a_program_that_hangs_is_ended(
        self,
        bench: Bench,
        tmp_path: Path,
        with_runner: Callable[..., BenchOptions],
        monkeypatch: pytest.MonkeyPatch,
    ):
        patient = android_plan.BenchmarkModel.time

        def impatient(self: android_plan.BenchmarkModel, length: int, iterations: int) -> str:
            self._job.place.adb.seconds = 3
            return patient(self, length, iterations)

        monkeypatch.setattr(android_plan.BenchmarkModel, "time", impatient)
        with pytest.raises(DeviceTimeoutError, match="did not answer within 3 s"):
            bench([make_bundle(tmp_path / "b")], with_runner("benchmark_model", mode="hang"))
        pid = int((bench.device.root / "hanging").read_text())
        for _ in range(100):
            if not is_running(pid):
                break
            time.sleep(0.05)
        assert not is_running(pid)
        assert bench.left() == []
        assert bench.kept[-1].status == "partial"
        assert "did not answer" in bench.kept[-1].reason

    def test_an_interruption_cleans_up_and_leaves_a_partial_result(
        self,
        bench: Bench,
        tmp_path: Path,
        with_runner: Callable[..., BenchOptions],
        monkeypatch: pytest.MonkeyPatch,
    ):
        def interrupt(*_: object) -> str:
            raise KeyboardInterrupt

        monkeypatch.setattr(android_plan.BenchmarkModel, "time", interrupt)
        with pytest.raises(KeyboardInterrupt):
            bench([make_bundle(tmp_path / "b")], with_runner("benchmark_model"))
        assert bench.left() == []
        assert bench.kept[-1].reason.startswith("interrupted during: ")

    def test_an_interruption_of_the_second_leaves_the_first_whole(
        self,
        bench: Bench,
        tmp_path: Path,
        with_runner: Callable[..., BenchOptions],
        monkeypatch: pytest.MonkeyPatch,
    ):
        def interrupt(*_: object) -> str:
            raise KeyboardInterrupt

        monkeypatch.setattr(android_plan.ExecutorRunner, "time", interrupt)
        bundles = [make_bundle(tmp_path / "t"), make_bundle(tmp_path / "e", "executorch")]
        with pytest.raises(KeyboardInterrupt):
            bench(bundles, with_runner("benchmark_model", "executor_runner"))
        first = [one for one in bench.kept if one.artifact.target == "tflite"][-1]
        assert (first.status, first.reason) == ("complete", "")
        assert {one.length for one in first.measurements if one.length} == {8, 16}

    def test_garbage_about_itself(
        self, bench: Bench, tmp_path: Path, with_runner: Callable[..., BenchOptions]
    ):
        for name in ("getprop", "dumpsys", "settings", "df"):
            bench.device.install(name, "head -c 3000 /dev/urandom")
        memory = f"MemTotal: {'9' * 5000} kB\n"
        bench.device.path("/proc/meminfo").write_text(memory, encoding="utf-8")
        (result,) = bench([make_bundle(tmp_path / "b")], with_runner("benchmark_model"))
        assert result.status == "complete"
        assert result.device.name == f"Android device {bench.device.serial}"
        assert result.device.memory_bytes is None
        assert result.device.before.thermal is None

    def test_a_hot_phone_that_saves_power(
        self,
        tmp_path: Path,
        adb_server: AdbServer,  # noqa: F811
        with_runner: Callable[..., BenchOptions],
    ):
        from tests.bench.phone import stubs

        with phone(tmp_path / "phone", stubs(thermal=3, low_power="1")) as one:
            adb_server.connect(one)
            (result,) = Bench(one)([make_bundle(tmp_path / "b")], with_runner("benchmark_model"))
        assert "the phone was throttling before the runs: thermal status severe" in result.notes
        assert "the phone was in its power saving mode" in result.notes

    def test_heat_is_read_before_each_artifact(
        self, bench: Bench, tmp_path: Path, with_runner: Callable[..., BenchOptions]
    ):
        from tests.bench.phone import stubs

        dumpsys = stubs(thermal=2)["dumpsys"]
        program = make_program(tmp_path / "two", "benchmark_model")
        # The first timed run heats the phone.
        heating = f"cat > $ROOT/bin/dumpsys <<'STUB'\n#!/bin/sh\n{dumpsys}\nSTUB"
        bench.device.install("heat", heating)
        text = program.read_text(encoding="utf-8")
        heat = 'timed = flags["num_runs"] != "1"\nif timed:\n    os.system("heat")\n'
        text = text.replace('timed = flags["num_runs"] != "1"\n', heat)
        program.write_text(text, encoding="utf-8")
        bundles = [
            make_bundle(tmp_path / name, lengths=(16,), seed=seed)
            for seed, name in enumerate(("a", "b"))
        ]
        first, second = bench(bundles, replace(OPTIONS, runners=(program,)))
        assert (first.device.before.thermal, first.device.after.thermal) == ("none", "moderate")
        assert second.device.before.thermal == "moderate"
        for result in (first, second):
            assert (
                "the phone's thermal status differed between the artifacts: none, moderate"
                in result.notes
            )

    def test_an_emulator_is_no_phone(
        self, bench: Bench, tmp_path: Path, with_runner: Callable[..., BenchOptions]
    ):
        bench.device.install("getprop", "echo '[ro.hardware]: [ranchu]'")
        (result,) = bench([make_bundle(tmp_path / "b")], with_runner("benchmark_model"))
        assert result.device.virtual
        assert result.evidence == "host"


class TestCommand:
    def test_from_the_command_line(
        self, bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ):
        from ondevice.cli import main

        program = make_program(tmp_path / "bin", "executor_runner")
        bundle = make_bundle(tmp_path / "b", "executorch", lengths=(16,))
        command = ["bench", str(bundle), "--device", f"android:{bench.device.serial}"]
        command += ["--runner", str(program), "--out", str(tmp_path / "results"), "--json"]
        assert main(command) == 0
        document = json.loads(capsys.readouterr().out)
        (entry,) = document["results"]
        assert entry["result"]["evidence"] == "phone"
        assert entry["result"]["device"]["name"] == "Pixel 8"
        assert Path(entry["file"]).is_file()

    def test_an_unplugged_phone_is_one_sentence(
        self, bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ):
        from ondevice.cli import main

        bench.device.faults.unplug_on = "--num_executions=60"
        program = make_program(tmp_path / "bin", "executor_runner")
        bundle = make_bundle(tmp_path / "b", "executorch", lengths=(16,))
        command = ["bench", str(bundle), "--device", f"android:{bench.device.serial}"]
        command += ["--runner", str(program), "--out", str(tmp_path / "results")]
        assert main(command) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        last = captured.err.splitlines()[-1]
        assert last.startswith(f"ondevice: the Android device '{bench.device.serial}' went away")
        (kept,) = (tmp_path / "results").iterdir()
        assert parse_result(kept.read_bytes(), "kept").status == "partial"

    def test_control_c_leaves_nothing_on_the_phone(self, bench: Bench, tmp_path: Path):
        program = make_program(tmp_path / "bin", "executor_runner", "hang")
        bundle = make_bundle(tmp_path / "b", "executorch", lengths=(16,))
        command = [sys.executable, "-m", "ondevice", "bench", str(bundle)]
        command += ["--device", f"android:{bench.device.serial}", "--runner", str(program)]
        command += ["--out", str(tmp_path / "results")]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        hanging = bench.device.root / "hanging"
        try:
            for _ in range(2400):
                if hanging.exists() or process.poll() is not None:
                    break
                time.sleep(0.05)
            assert hanging.exists(), process.communicate(timeout=5)
            assert len(bench.left()) == 1
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
        assert process.returncode == 130
        assert said.splitlines()[-1] == "ondevice: interrupted; nothing was left half-written"
        assert bench.left() == []
        (kept,) = (tmp_path / "results").iterdir()
        result = parse_result(kept.read_bytes(), "kept")
        assert result.reason == "interrupted during: made-up executorch fp32: length 16"
