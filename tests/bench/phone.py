"""Fixtures and stand-ins for tests with a phone: an adb server of the test's own, bundles that
need no converter, programs that answer as they are told, and a phone that has them all.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ondevice import bundle
from ondevice.manifest import (
    ArtifactInfo,
    Manifest,
    ModelInfo,
    TensorInfo,
    TokenizerInfo,
    WindowInfo,
)
from tests.bench.adb_device import AdbDevice, Faults

INPUTS = ("input_ids", "attention_mask")
ROLES = ("start", "end")
FILES = {
    "tflite": "model.tflite",
    "executorch": "model.pte",
    "onnx": "model.onnx",
    "coreml": "model.mlpackage",
}
MODEL_BYTES = 300_000


class AdbServer:
    """An adb server on a port and with a home of its own; a developer's is not touched."""

    def run(self, *arguments: str, seconds: float = 30) -> str:
        done = subprocess.run(
            ["adb", *arguments], capture_output=True, text=True, timeout=seconds, check=False
        )
        return done.stdout + done.stderr

    def connect(self, device: AdbDevice) -> None:
        assert "connected to" in self.run("connect", device.serial)

    def connect_unfinished(self, device: AdbDevice, state: str) -> contextlib.ExitStack:
        """Connect to a device that will not become ready; wait until adb shows its state."""
        process = subprocess.Popen(
            ["adb", "connect", device.serial], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        stack = contextlib.ExitStack()
        stack.callback(process.wait)
        stack.callback(process.kill)
        for _ in range(200):
            if state in self.run("devices"):
                return stack
            time.sleep(0.05)
        raise AssertionError(self.run("devices"))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running_server(home: Path) -> Iterator[AdbServer]:
    variables = {
        "ANDROID_ADB_SERVER_PORT": str(_free_port()),
        "HOME": str(home),
        "ANDROID_USER_HOME": str(home),
        "ANDROID_SDK_HOME": str(home),
        "TMPDIR": str(home),
        # Do not look for emulators.
        "ADB_LOCAL_TRANSPORT_MAX_PORT": "5553",
        "ADB_MDNS": "0",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        for name in ("ANDROID_SERIAL", "ADB_VENDOR_KEYS", "ANDROID_HOME", "ANDROID_SDK_ROOT"):
            patch.delenv(name, raising=False)
        server = AdbServer()
        subprocess.run(
            ["adb", "start-server"],
            check=True,
            timeout=60,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            if server.run("devices").strip() != "List of devices attached":
                pytest.skip("a phone is plugged into this machine; its owner may need it")
            yield server
        finally:
            server.run("kill-server")


@pytest.fixture(scope="module")
def module_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdbServer]:
    with running_server(tmp_path_factory.mktemp("adb-home")) as server:
        yield server


@pytest.fixture
def adb_server(module_server: AdbServer) -> Iterator[AdbServer]:
    yield module_server
    module_server.run("disconnect")


# --- the phone ---

PROPERTIES = """\
[ro.board.platform]: [zuma]
[ro.build.characteristics]: [nosdcard]
[ro.build.fingerprint]: [google/shiba/shiba:14/AP1A.240305.019.A1/11445699:user/release-keys]
[ro.build.version.release]: [14]
[ro.build.version.sdk]: [34]
[ro.hardware]: [shiba]
[ro.product.cpu.abi]: [arm64-v8a]
[ro.product.device]: [shiba]
[ro.product.model]: [Pixel 8]
[ro.soc.manufacturer]: [Google]
[ro.soc.model]: [Tensor G3]
"""
THERMAL = """\
IsStatusOverride: false
ThermalEventListeners:
	callbacks: 3
Thermal Status: {status}
Cached temperatures:
	Temperature{{mValue=31.4, mType=3, mName=VIRTUAL-SKIN, mStatus=0}}
HAL Ready: true
"""
BATTERY = """\
Current Battery Service state:
  AC powered: false
  USB powered: true
  Wireless powered: false
  Max charging current: 500000
  status: 2
  health: 2
  present: true
  level: 87
  scale: 100
  voltage: 4120
  temperature: 301
  technology: Li-ion
"""
DF = """\
Filesystem       1K-blocks    Used Available Use% Mounted on
/dev/block/dm-47 114698220 5000000 {free} 5% /data
"""


# The phone's clock, seconds since 1970: not this machine's.
NOW = 1_700_000_000


def _print(text: str) -> str:
    return f"cat <<'END'\n{text.rstrip()}\nEND"


def stubs(*, thermal: int = 0, low_power: str = "0", free: int = 90_000_000) -> dict[str, str]:
    """Return the commands that a phone has and this machine has not."""
    return {
        "getprop": _print(PROPERTIES),
        "dumpsys": "case $1 in\nthermalservice)\n"
        + _print(THERMAL.format(status=thermal))
        + "\n;;\nbattery)\n"
        + _print(BATTERY)
        + "\n;;\nesac",
        "settings": f"echo {low_power}",
        "date": f'[ "$1" = +%s ] && echo {NOW}',
        "df": _print(DF.format(free=free)),
        # Only the program whose id is given.
        "logcat": 'for word in "$@"; do case $word in --pid=*)'
        ' cat "$ROOT/log-${word#--pid=}";; esac; done',
    }


@contextlib.contextmanager
def phone(
    directory: Path, commands: dict[str, str] | None = None, faults: Faults | None = None
) -> Iterator[AdbDevice]:
    device = AdbDevice(directory, stubs() | (commands or {}), model="Pixel_8", faults=faults)
    for path, text in {
        "/proc/meminfo": "MemTotal:        7812345 kB\nMemFree: 1 kB\n",
        "/sys/devices/system/cpu/possible": "0-8\n",
    }.items():
        place = device.path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    with device:
        yield device


# --- bundles ---


def logits(ids: list[int]) -> dict[str, list[float]]:
    """Return what the made-up model answers; the programs below compute the same."""
    return {
        "start": [math.sin(0.37 * one + 0.01 * at) for at, one in enumerate(ids)],
        "end": [math.cos(0.53 * one + 0.02 * at) for at, one in enumerate(ids)],
    }


def make_bundle(
    directory: Path,
    target: str = "tflite",
    *,
    lengths: tuple[int, ...] = (8, 16),
    scheme: str = "fp32",
    seed: int = 0,
) -> Path:
    """Write a bundle of a made-up question-answering model."""
    directory.mkdir(parents=True)
    draw = random.Random(seed)
    model = directory / FILES[target]
    model.write_bytes(draw.randbytes(MODEL_BYTES))
    (directory / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n", encoding="utf-8")
    records = []
    for length in lengths:
        # Each costs a process on the phone: padded ones at the longest length only.
        for valid in (length // 2, length) if length == lengths[-1] else (length,):
            ids = [draw.randrange(5, 100) if at < valid else 0 for at in range(length)]
            mask = [int(at < valid) for at in range(length)]
            record = {
                "kind": "run",
                "length": length,
                "valid": valid,
                "inputs": {"input_ids": ids, "attention_mask": mask},
                "outputs": {role: [values] for role, values in logits(ids).items()},
                "max_abs": 1e-4,
                "min_cosine": None,
            }
            records.append(json.dumps(record))
    (directory / bundle.GOLDEN_FILE).write_text("\n".join(records) + "\n", encoding="utf-8")
    sha256, size = bundle.hash_artifact(model)
    shape = (1, "L")
    manifest = Manifest(
        schema_version=1,
        model=ModelInfo(
            name="made-up",
            source="tests",
            architecture="bert",
            sha256="1" * 64,
            params=1000,
            licence="apache-2.0",
        ),
        task="qa",
        tokenizer=TokenizerInfo(
            kind="wordpiece",
            file="vocab.txt",
            sha256=bundle.hash_file(directory / "vocab.txt"),
            lowercase=True,
            strip_accents=True,
            pad_id=0,
        ),
        window=WindowInfo(max_length=16, doc_stride=4, max_query=4, max_answer=4, n_best=5),
        artifact=ArtifactInfo(
            target=target,
            scheme=scheme,
            file=model.name,
            sha256=sha256,
            bytes=size,
            inputs=tuple(
                TensorInfo(name=name, role=name, dtype="int32", shape=shape) for name in INPUTS
            ),
            outputs=tuple(
                TensorInfo(name=role, role=role, dtype="float32", shape=shape) for role in ROLES
            ),
            lengths=lengths,
            min_runtime={},
        ),
        parity=(),
        tools={},
        created="2026-01-01T00:00:00Z",
        options={},
        content_key="2" * 64,
        files=bundle.list_files(directory),
    )
    bundle.write_manifest(directory, manifest)
    return directory


# --- programs ---

_COMMON = """\
#!{python} -SE
import math, os, struct, sys, time
MODE = {mode!r}
flags = dict(word.lstrip("-").split("=", 1) for word in sys.argv[1:])
known = open("calls", "a")
known.write(" ".join(sys.argv) + "\\n")
known.close()
def read(path):
    data = open(path, "rb").read()
    return struct.unpack("<%di" % (len(data) // 4), data)
def answer(ids):
    off = 1.0 if MODE == "wrong" else 0.0
    start = [math.sin(0.37 * one + 0.01 * at) + off for at, one in enumerate(ids)]
    end = [math.cos(0.53 * one + 0.02 * at) for at, one in enumerate(ids)]
    return start, end
def write(path, values):
    with open(path, "wb") as stream:
        stream.write(struct.pack("<%df" % len(values), *values))
def hang():
    open(os.path.join(os.environ["ROOT"], "hanging"), "w").write(str(os.getpid()))
    time.sleep(60)
if MODE == "garbage":
    os.write(1, bytes(range(256)) * 20)
    sys.exit(0)
if MODE == "crash":
    sys.stderr.write("ERROR: Didn't find op for builtin opcode 'FULLY_CONNECTED' version '12'\\n")
    sys.exit(1)
"""

_BENCHMARK_MODEL = """\
timed = flags["num_runs"] != "1"
if MODE == "hang" and timed:
    hang()
OLD = ("output_filepath", "input_layer_value_files", "signature_to_run_for")
out = ["STARTING!"]
took = [name for name in ("gpu", "nnapi") if flags.get("use_" + name) == "true"]
delegate = {"gpu": "TfLiteGpuDelegateV2", "nnapi": "TfLiteNnapiDelegate"}.get(
    took[0] if took else "", "TfLiteXNNPackDelegate"
)
if MODE == "old":
    unknown = " ".join("--%s=%s" % (name, flags[name]) for name in OLD if name in flags)
    out.append("Unconsumed cmdline flags: " + unknown)
else:
    files = dict(pair.split(":") for pair in flags["input_layer_value_files"].split(","))
    start, end = answer(read(files["input_ids"]))
    if MODE == "short":
        end = end[:-1]
    if "output_filepath" in flags:
        write(flags["output_filepath"], start + end)
length = int(flags["input_layer_shape"].split(":")[0].split(",")[1])
runs = 7 if MODE == "few" and timed else int(flags["num_runs"])
out += [
    "Replacing 30 out of 34 node(s) with delegate (%s) node, yielding 3" % delegate,
    "Running benchmark for at least 1 iterations and at least 0 seconds but terminate if",
    "count=10 first=%d curr=9 min=8 max=99 avg=20.5 std=1 p5=8 median=20 p95=90" % (length * 200),
    "Running benchmark for at least 50 iterations and at least 0 seconds but terminate if",
    "count=%d first=9 curr=9 min=%d max=%d avg=%d.5 std=1 p5=8 median=%d p95=%d"
    % (runs, length * 90, length * 130, length * 100, length * 99, length * 120),
    "Inference timings in us: Init: 61234, First inference: %d, Warmup (avg): 20.5,"
    " Inference (avg): %d.5" % (length * 200, length * 100),
]
if "report_peak_memory_footprint" in flags:
    out.append("Overall peak memory footprint (MB) via periodic monitoring: 66.5")
sys.stderr.write("".join("INFO: %s\\n" % line for line in out))
"""

_EXECUTOR_RUNNER = """\
count = int(flags["num_executions"])
if MODE == "hang" and count > 1:
    hang()
if MODE == "old" and "method_name" in flags:
    sys.stderr.write("ERROR: unknown command line flag 'method_name'\\n")
    sys.exit(1)
if MODE == "large":
    # In small pieces: the peak is seen on the way.
    held = [bytearray(os.urandom(1)) * 2**20 for _ in range(64)]
    time.sleep(0.3)
start, end = answer(read(flags["inputs"].split(",")[0]))
write(flags["output_file"] + "-0.bin", start)
write(flags["output_file"] + "-1.bin", end)
times = [30.0] + [24.0 + 0.125 * (at % 3) for at in range(count - 1)]
method = "forward_other" if MODE == "method" else flags.get("method_name", "forward")
out = ["Using method " + method]
if MODE != "total":
    out.append("Model loaded in 41.250000 ms.")
    out += ["Iteration %d of %d: %f ms" % (at + 1, count, one) for at, one in enumerate(times)]
out.append("Model executed successfully %d time(s) in %f ms." % (count, sum(times)))
if MODE == "silent":
    sys.exit(0)
if MODE == "logcat":
    with open(os.path.join(os.environ["ROOT"], "log-%d" % os.getpid()), "w") as log:
        for line in out:
            log.write("11-23 00:55:12.345  1  1 I ExecuTorch: " + line + "\\n")
else:
    for line in out:
        sys.stderr.write("I 00:00:00.001204 executorch:executor_runner.cpp:442] " + line + "\\n")
"""


def make_program(directory: Path, name: str, mode: str = "right") -> Path:
    """Write a stand-in for benchmark_model or executor_runner; `mode` is how it behaves."""
    body = {"benchmark_model": _BENCHMARK_MODEL, "executor_runner": _EXECUTOR_RUNNER}[name]
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    head = _COMMON.format(python=sys.executable, mode=mode)
    path.write_text(head + body, encoding="utf-8")
    return path


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# --- what the demo app writes ---


def app_document(path: Path, kind: str = "android", **changes: object) -> dict[str, object]:
    """Return a result of the demo app for a bundle; `changes` replace fields of it."""
    manifest = bundle.read_manifest(path)
    length = manifest.artifact.lengths[-1]
    android = {
        "name": "Pixel 8",
        "virtual": False,
        "soc": "Tensor G3",
        "os": "Android",
        "os_version": "14",
        "cores": 9,
        "memory_bytes": 7812345 * 1024,
    }
    iphone = {"name": "iPhone15,4", "os": "iOS", "os_version": "17.5.1"}
    document: dict[str, object] = {
        "schema_version": 1,
        "created": "2026-01-31T12:00:00Z",
        "status": "complete",
        "evidence": "phone",
        "source": "dev.ondevice.qa 1.0",
        "device": {"kind": kind, **(android if kind == "android" else iphone)},
        "artifact": {
            "model": manifest.model.name,
            "task": manifest.task,
            "target": manifest.artifact.target,
            "scheme": manifest.artifact.scheme,
            "lengths": list(manifest.artifact.lengths),
            "sha256": manifest.artifact.sha256,
            "bytes": manifest.artifact.bytes,
        },
        "runtime": {"name": "litert", "version": "1.4.0", "accelerator": "xnnpack"},
        "protocol": {
            "threads": 2,
            "warmup": "until stable",
            "iterations": 50,
            "order": "alone",
            "timer": "System.nanoTime",
            "load_cold": "fresh process",
        },
        "golden": {"status": "passed", "checked": 4},
        "measurements": [
            {
                "kind": "model_only",
                "length": length,
                "samples": [20_000_000 + at for at in range(50)],
            }
        ],
    }
    return document | changes
