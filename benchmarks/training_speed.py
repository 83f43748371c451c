"""How fast `ondevice distill task` trains on CPUs: float32 and bf16, one process and several.

    python benchmarks/training_speed.py [--train FILE] [--steps 40] [--rounds 3] [--processes 2]

Distils the teacher into four of its layers for so many steps of 24 questions: in one process with a
thread for each core, and in several with the cores shared out, each in both arithmetics. The four
take turns, round by round; what the teacher says is cached before. Prints the questions a second of
the training itself (loading and scoring are not in it) and, for each round, how many times float32
in one process that is. The data are the samples, or SQuAD JSON of your own.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import commands
import machine

from ondevice import console, samples
from ondevice.errors import UserError

RESULTS = Path(__file__).parent / "results" / "training_speed.json"
BATCH = 24
HEADERS = ("arithmetic", "processes", "threads each", "questions/s", "times the first")


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
        default=max(2, cores),
        help="of the second way (default: a process for each core)",
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    if BATCH % arguments.processes:
        raise UserError(
            f"--processes must divide the {BATCH} questions of a step, not {arguments.processes}"
        )
    if arguments.train is not None and not arguments.train.is_file():
        raise UserError(f"no file '{arguments.train}'; --train takes questions as SQuAD has them")
    ways = [
        (precision, processes, max(1, cores // processes))
        for processes in (1, arguments.processes)
        for precision in ("fp32", "bf16")
    ]
    speeds: dict[tuple[str, int, int], list[float]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        train, evaluation = questions(here, arguments.train)
        common = ["--train", str(train), "--eval", str(evaluation), "--cache", str(here / "cache")]
        speed(ways[0], [*common, "--max-steps", "1"], here / "first")  # fills the cache
        for number in range(arguments.rounds):
            for way in ways:
                sys.stderr.write(f"round {number + 1}: {way}\n")
                out = here / f"{number}-{'-'.join(map(str, way))}"
                steps = ["--max-steps", str(arguments.steps)]
                speeds[way].append(speed(way, [*common, *steps], out))
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


def speed(way: tuple[str, int, int], words: list[str], out: Path) -> float:
    """Train once; return the questions a second.

    Raises:
        UserError: the training failed.
    """
    precision, processes, threads = way
    several = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
    command = [
        *(sys.executable, *(several if processes > 1 else []), "-m", "ondevice.distill", "task"),
        *("--teacher", "teacher", "--layers", "0,2,3,5", "--freeze-embeddings", *words),
        *("--precision", precision, "--batch-size", str(BATCH // processes)),
        *("--threads", str(threads), "--eval-every", "100000", "--out", str(out)),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["nothing was said"]
        raise UserError(f"{precision}, {processes} processes: {said[-1]}")
    curve = json.loads((out / "curve.json").read_text(encoding="utf-8"))
    return float(curve[-1]["train_samples_per_second"])


def row(way: tuple[str, int, int], found: list[float], first: list[float]) -> dict[str, Any]:
    """Return a way's speeds and how many times the first way's they are, round by round."""
    precision, processes, threads = way
    return {
        "precision": precision,
        "processes": processes,
        "threads": threads,
        "questions_per_second": found,
        "ratios": [one / base for one, base in zip(found, first, strict=True)],
    }


def cells(one: dict[str, Any]) -> tuple[str, ...]:
    """Return a table row: medians, the ratio's with its range."""
    ratios = one["ratios"]
    between = f" ({min(ratios):.2f} to {max(ratios):.2f})" if len(ratios) > 1 else ""
    return (
        one["precision"],
        str(one["processes"]),
        str(one["threads"]),
        f"{statistics.median(one['questions_per_second']):.1f}",
        f"{statistics.median(ratios):.2f}{between}",
    )


if __name__ == "__main__":
    sys.exit(commands.run(main))
