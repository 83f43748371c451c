"""How fast `ondevice distill task` trains on CPUs: float32 and bf16, one process and several.

    python benchmarks/training_speed.py [--train FILE] [--steps 40] [--rounds 3] [--processes 2]

Distils the teacher into four of its layers for so many steps of 24 windows: in one process with a
thread for each core, and in several with the cores shared out, each in both arithmetics. The four
take turns, round by round; what the teacher says is cached before. Prints the windows a second
after the first quarter of the steps (loading, warming up and scoring are not in it) and, for each
round, how many times float32 in one process that is. The data are the samples, or SQuAD JSON of
your own.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import commands
import machine

from ondevice import console, samples
from ondevice.errors import UserError

RESULTS = Path(__file__).parent / "results" / "training_speed.json"
BATCH = 24
HEADERS = ("arithmetic", "processes", "threads each", "windows/s", "times the first")
# As the progress lines have it: the mean since the start.
LINE = re.compile(r" step (\d+)/\d+ .*  ([\d.]+) examples/s")


@dataclass(frozen=True)
class Way:
    """A way to train: the arithmetic, and how the cores are shared out."""

    precision: str
    processes: int
    threads: int


def main() -> int:
    """Train in turn, print the table, write the results; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--train", type=Path, help="SQuAD JSON (default: the samples)")
    parser.add_argument("--steps", type=commands.whole("--steps"), default=40)
    parser.add_argument("--rounds", type=commands.whole("--rounds"), default=3)
    cores = os.cpu_count() or 1
    parser.add_argument(
        "--processes",
        type=commands.whole("--processes", 2),
        default=max((n for n in range(2, BATCH + 1) if BATCH % n == 0 and n <= cores), default=2),
        help="of the second way (default: a process for each core, if that divides a step)",
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    if BATCH % arguments.processes:
        raise UserError(
            f"--processes must divide the {BATCH} windows of a step, not {arguments.processes}"
        )
    if arguments.train is not None and not arguments.train.is_file():
        raise UserError(f"no file '{arguments.train}'; --train takes questions as SQuAD has them")
    ways = [
        Way(precision, processes, max(1, cores // processes))
        for processes in (1, arguments.processes)
        for precision in ("fp32", "bf16")
    ]
    speeds: dict[Way, list[float]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        learn, evaluation = questions(here, arguments.train)
        common = ["--train", str(learn), "--eval", str(evaluation), "--cache", str(here / "cache")]
        train(ways[0], [*common, "--max-steps", "1"], here / "first")  # fills the cache
        for number in range(arguments.rounds):
            for way in ways:
                sys.stderr.write(
                    f"round {number + 1}: {way.precision}, processes: {way.processes}\n"
                )
                out = here / f"{number}-{way.precision}-{way.processes}"
                every = ["--log-every", str(max(1, arguments.steps // 4))]
                steps = ["--max-steps", str(arguments.steps), *every]
                speeds[way].append(speed(train(way, [*common, *steps], out)))
    rows = [row(way, found, speeds[ways[0]]) for way, found in speeds.items()]
    document = {
        "machine": machine.describe(),
        "train": "samples" if arguments.train is None else arguments.train.name,
        "steps": arguments.steps,
        "batch": BATCH,
        "rows": rows,
    }
    commands.write(arguments.results, document)
    print(console.table(HEADERS, [cells(one) for one in rows]))
    return 0


def questions(folder: Path, train: Path | None) -> tuple[Path, Path]:
    """Write files to train and to score on: the samples' last article is scored on."""
    document = json.loads(samples.qa_path().read_text(encoding="utf-8"))
    *first, last = document["data"]
    parts = {"train.json": first, "eval.json": [last]}
    for name, articles in parts.items():
        (folder / name).write_text(json.dumps({**document, "data": articles}), encoding="utf-8")
    return train or folder / "train.json", folder / "eval.json"


def train(way: Way, words: list[str], out: Path) -> str:
    """Train once; return what was logged.

    Raises:
        UserError: the training failed.
    """
    several = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    command = [
        *(sys.executable, *([*several, str(way.processes)] if way.processes > 1 else [])),
        *("-m", "ondevice.distill", "task"),
        *("--teacher", "teacher", "--layers", "0,2,3,5", "--freeze-embeddings", *words),
        *("--precision", way.precision, "--batch-size", str(BATCH // way.processes)),
        *("--threads", str(way.threads), "--eval-every", "100000", "--out", str(out)),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": str(way.threads)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["nothing was said"]
        ours = [line for line in lines if line.startswith("ondevice:")]
        raise UserError(f"{way.precision}, processes: {way.processes}: {(ours or lines)[-1]}")
    return done.stderr


def speed(log: str) -> float:
    """Return the windows a second between the first and the last progress line."""
    found = [(int(step), float(rate)) for step, rate in LINE.findall(log)]
    if not found:
        raise UserError("the training wrote no progress line")
    (first, early), (last, late) = found[0], found[-1]
    if first == last:
        return late
    return (last - first) / (last / late - first / early)


def row(way: Way, found: list[float], first: list[float]) -> dict[str, Any]:
    """Return a way's speeds and how many times the first way's they are, round by round."""
    ratios = [one / base for one, base in zip(found, first, strict=True)]
    return {**asdict(way), "windows_per_second": found, "ratios": ratios}


def cells(one: dict[str, Any]) -> tuple[str, ...]:
    """Return a table row: medians, the ratio's with its range."""
    ratios = one["ratios"]
    between = f" ({min(ratios):.2f} to {max(ratios):.2f})" if len(ratios) > 1 else ""
    return (
        one["precision"],
        str(one["processes"]),
        str(one["threads"]),
        f"{statistics.median(one['windows_per_second']):.1f}",
        f"{statistics.median(ratios):.2f}{between}",
    )


if __name__ == "__main__":
    sys.exit(commands.run(main))
