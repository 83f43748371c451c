"""Run an artifact's cases in a child process, so that a runtime that aborts is only a result."""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

import ondevice
from ondevice.untrusted import parse_json
from ondevice.verify import _environments

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ondevice.verify.reference import Case

RUNNER = Path(__file__).with_name("_runner.py")
# One thread: the order of sums, and with it the last bits, must not depend on the machine.
THREADS = 1
# The child's events for what gave no answer, and what they say of the artifact.
_NO_ANSWER: dict[str, Literal["refused", "not_run"]] = {"refused": "refused", "absent": "not_run"}


@dataclass(frozen=True)
class Job:
    """What the child runs.

    Attributes:
        modules: imported first; if that fails, nothing is said about the artifact.
        target: whose ``load`` opens the artifact.
        roles: of its outputs, in order.
        inputs: the names that it takes.
    """

    modules: tuple[str, ...]
    target: str
    artifact: Path
    roles: tuple[str, ...]
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of one length.

    Attributes:
        status: ``answered``; ``refused``: the runtime is there and gave no answer; ``not_run``:
            the runtime itself cannot run here, or was too slow here.
        outputs: by case, if answered.
        runtime: the name and version that the child reports.
    """

    status: Literal["answered", "refused", "not_run"]
    outputs: tuple[dict[str, NDArray[np.float32]], ...] = ()
    reason: str = ""
    runtime: tuple[str, str] = ("", "")


def execute(
    python: Path, job: Job, cases: Mapping[int, Sequence[Case]], seconds: float
) -> dict[int, Outcome]:
    """Run the cases of each length; return an outcome for each length.

    A length that ends the process is refused; one that takes more than `seconds` is not run, which
    may be this machine's fault. The others are run in a new process.
    """
    outcomes: dict[int, Outcome] = {}
    place = f"{job.artifact.resolve().parent}/"
    with tempfile.TemporaryDirectory(prefix="ondevice-compat-") as name:
        directory = Path(name)
        # This package and nothing beside it: site-packages here would shadow those of the child.
        (directory / "path").mkdir()
        (directory / "path" / "ondevice").symlink_to(Path(ondevice.__file__).parent.resolve())
        np.savez(directory / "inputs.npz", **_flatten(job, cases))
        while remaining := [length for length in cases if length not in outcomes]:
            out = directory / f"from-{remaining[0]}"
            out.mkdir()
            outcomes |= _execute_once(python, job, remaining, directory, out, seconds)
    # What is written into a manifest must not tell where the bundle lay.
    return {
        length: replace(outcome, reason=outcome.reason.replace(place, ""))
        for length, outcome in outcomes.items()
    }


def _flatten(job: Job, cases: Mapping[int, Sequence[Case]]) -> dict[str, Any]:
    return {
        f"{length}/{index}/{name}": case.inputs[name]
        for length, chosen in cases.items()
        for index, case in enumerate(chosen)
        for name in job.inputs
    }


def _execute_once(
    python: Path, job: Job, lengths: Sequence[int], directory: Path, out: Path, seconds: float
) -> dict[int, Outcome]:
    """Run one child; return the outcome of one length at least."""
    description = {
        "modules": job.modules,
        "target": job.target,
        "artifact": str(job.artifact.resolve()),
        "roles": job.roles,
        "inputs": str(directory / "inputs.npz"),
        "lengths": list(lengths),
        "threads": THREADS,
        "out": str(out),
    }
    (out / "job.json").write_text(json.dumps(description), encoding="utf-8")
    end = _spawn(python, out / "job.json", directory / "path", seconds)
    return _read_outcomes(out, lengths, end)


def _read_outcomes(out: Path, lengths: Sequence[int], end: _End) -> dict[int, Outcome]:
    """Turn what a child wrote down, and how it ended, into outcomes."""
    events = _read_events(out / "events.jsonl")
    outcomes: dict[int, Outcome] = {}
    runtime = ("", "")
    for event in events:
        if event["event"] == "loaded":
            runtime = (event["runtime"], event["version"])
        elif event["event"] == "answered":
            outputs = _read_outputs(out / f"{event['length']}.npz")
            outcomes[event["length"]] = Outcome("answered", outputs, "", runtime)
        elif event["event"] in _NO_ANSWER:
            outcome = Outcome(_NO_ANSWER[event["event"]], (), event["reason"], runtime)
            if "length" not in event:
                return dict.fromkeys(lengths, outcome)
            outcomes[event["length"]] = outcome
    status: Literal["refused", "not_run"] = "not_run" if end.late else "refused"
    missing = [length for length in lengths if length not in outcomes]
    if not events:
        return dict.fromkeys(lengths, Outcome("not_run", reason=f"its import {end.how}"))
    if runtime == ("", ""):
        return dict.fromkeys(lengths, Outcome(status, reason=f"loading {end.how}"))
    if missing:
        outcomes[missing[0]] = Outcome(status, (), f"the run {end.how}", runtime)
    return outcomes


@dataclass(frozen=True)
class _End:
    """How a child ended, as the rest of a sentence; `late`: it was ended for taking too long."""

    how: str
    late: bool = False


def _spawn(python: Path, job: Path, path: Path, seconds: float) -> _End:
    """Run the child to its end."""
    command = [str(python), "-P", str(RUNNER), str(job)]
    variables = {**_environments.child_variables(), "PYTHONPATH": str(path)}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=seconds,
            env=variables,
        )
    except subprocess.TimeoutExpired:
        return _End(f"took more than {seconds:g} s", late=True)
    if done.returncode < 0:
        try:
            name = signal.Signals(-done.returncode).name
        except ValueError:
            name = f"signal {-done.returncode}"
        return _End(f"ended the process ({name}){_last_line(done.stderr)}")
    return _End(f"ended with exit code {done.returncode}{_last_line(done.stderr)}")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f": {lines[-1][:200]}" if lines else ""


def _read_events(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    events = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            events.append(parse_json(line))
        except ValueError:  # the line that the end of the process cut off
            break
    return events


def _read_outputs(path: Path) -> tuple[dict[str, NDArray[np.float32]], ...]:
    cases: dict[int, dict[str, NDArray[np.float32]]] = {}
    with np.load(path) as stored:
        for key in stored.files:
            case, role = key.split("/")
            cases.setdefault(int(case), {})[role] = stored[key]
    return tuple(cases[index] for index in sorted(cases))
