"""How long a build takes and how much memory it needs, cold and cached.

    python benchmarks/build_time.py [--model student] [--targets coreml,tflite,executorch,onnx]
        [--schemes fp32,fp16,int8,int4] [--rounds 3] [--only alone,together,all] [--add]

Each build is the command that a person types, in a fresh process: cold into an empty directory,
then once more, where it finds what it made. First each scheme alone, then all schemes of a target
in one build, which share what they have in common, then ``--target all``. "Cold" says nothing about
the system's page cache, which holds the packages from the second build on; the rounds go through
everything in turn, so that the first of each shows in the raw figures. An artifact that misses its
parity limit was built all the same, and is marked.

Prints a table and writes ``benchmarks/results/build_time.json``; `--add` keeps the rows there that
this run does not measure again, so that a long measurement can be made in parts. Nothing here
imports torch: on Linux a process begins with its parent's peak memory.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any

import commands
import machine
import processes

from ondevice import console, models
from ondevice.errors import UserError
from ondevice.targets import TARGETS

RESULTS = Path(__file__).parent / "results" / "build_time.json"
GIB = 2**30
HEADERS = (
    *("target", "scheme", "cold s", "CPU s", "peak MB", "of limit"),
    *("cached s", "peak MB", "published"),
)
KINDS = ("alone", "together", "all")


@dataclass
class Row:
    """One target under one scheme or several, or all targets under their own.

    Attributes:
        scheme: what --scheme is given; None for each target's own.
        cold: each round's build into an empty directory.
        cached: each round's build of what is there already; empty where it was not published.
        published: whether every artifact met its parity limit.
    """

    target: str
    scheme: str | None
    cold: list[processes.Ended] = field(default_factory=list)
    cached: list[processes.Ended] = field(default_factory=list)
    published: bool = True

    def measure(self, model: str) -> None:
        """Build once cold, and once more where there is a bundle to find.

        Raises:
            UserError: the build refuses the request, or breaks.
        """
        with tempfile.TemporaryDirectory() as directory:
            ended = self._build(model, directory)
            self.cold.append(ended)
            self.published = all(one["published"] for one in json.loads(ended.stdout))
            if self.published:
                ended = self._build(model, directory)
                if all(one["cached"] for one in json.loads(ended.stdout)):
                    self.cached.append(ended)
                else:
                    # As when sources are edited meanwhile, which are part of a bundle's key.
                    print(f"{self.target}: found no bundle to repeat", file=sys.stderr)

    def _build(self, model: str, directory: str) -> processes.Ended:
        command = [sys.executable, "-m", "ondevice.build", "--model", model, "--json"]
        command += ["--target", self.target, "--out", directory]
        command += ["--scheme", self.scheme] if self.scheme else []
        ended = processes.run(command)
        if ended.code not in commands.FINDINGS:
            raise UserError(f"building {model} for {self.target} {self.scheme}: {ended.reason}")
        return ended


def limit_bytes(params: int) -> int:
    """Return what a build may need: four times the float32 weights, and one GiB."""
    return 4 * 4 * params + GIB


def plan(targets: Sequence[str], schemes: Sequence[str], kinds: Sequence[str]) -> list[Row]:
    """Return the rows of each kind; targets without any of the schemes have none."""
    offered = {
        target: [scheme for scheme in schemes if scheme in TARGETS[target].schemes]
        for target in targets
    }
    rows = {
        "alone": [Row(target, scheme) for target in targets for scheme in offered[target]],
        "together": [
            Row(target, ",".join(found)) for target, found in offered.items() if len(found) > 1
        ],
        "all": [Row("all", None)],
    }
    return [row for kind in KINDS if kind in kinds for row in rows[kind]]


def cells(row: Row, limit: int) -> tuple[str, ...]:
    """Return a row of the table: medians of seconds, the greatest memory of any round."""
    peak = max(one.peak_bytes for one in row.cold)
    cached = (
        f"{statistics.median(one.seconds for one in row.cached):.1f}" if row.cached else "–",
        f"{max(one.peak_bytes for one in row.cached) / 1e6:.0f}" if row.cached else "–",
    )
    return (
        row.target,
        row.scheme or "default",
        f"{statistics.median(one.seconds for one in row.cold):.1f}",
        f"{statistics.median(one.cpu_seconds for one in row.cold):.1f}",
        f"{peak / 1e6:.0f}",
        f"{peak / limit:.2f}",
        *cached,
        "yes" if row.published else "no",
    )


def artifacts_of(ended: processes.Ended) -> list[dict[str, Any]]:
    """Return what a build says of the seconds that each artifact took; imports are in the first."""
    return [
        {name: one[name] for name in ("target", "scheme", "seconds")}
        for one in json.loads(ended.stdout)
    ]


def record(row: Row) -> dict[str, Any]:
    """Return a row as the results have it, every round of it."""
    return {
        "target": row.target,
        "scheme": row.scheme,
        "published": row.published,
        **{
            name: [
                {
                    "seconds": round(one.seconds, 3),
                    "cpu_seconds": round(one.cpu_seconds, 3),
                    "peak_bytes": one.peak_bytes,
                    "artifacts": artifacts_of(one),
                }
                for one in rounds
            ]
            for name, rounds in (("cold", row.cold), ("cached", row.cached))
        },
    }


def main() -> int:
    """Build everything in turn, print the table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default=models.DEFAULT_MODEL)
    parser.add_argument("--targets", default=",".join(TARGETS))
    parser.add_argument("--schemes", default="fp32,fp16,int8,int4")
    parser.add_argument("--rounds", type=commands.whole("--rounds"), default=3)
    parser.add_argument("--only", default=",".join(KINDS), help="kinds of builds to measure")
    parser.add_argument("--add", action="store_true", help="keep the other rows of --out")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    checkpoint = models.load(arguments.model)
    limit = limit_bytes(checkpoint.params)
    targets = commands.words(arguments.targets, "target", tuple(TARGETS))
    schemes = commands.schemes(arguments.schemes, targets)
    kinds = commands.words(arguments.only, "kind of build", KINDS)
    described = machine.describe()
    same = {"model": checkpoint.name, "params": checkpoint.params, "limit_bytes": limit}
    earlier = commands.read_earlier(arguments.out, described, same) if arguments.add else None
    rows = plan(targets, schemes, kinds)
    if not rows:
        raise UserError(f"no target of {', '.join(targets)} has a scheme of {', '.join(schemes)}")
    for number in range(max(arguments.rounds, 1)):
        for row in rows:
            row.measure(arguments.model)
            seconds = row.cold[-1].seconds
            print(
                f"round {number + 1}: {row.target} {row.scheme or ''} {seconds:.1f} s",
                file=sys.stderr,
                flush=True,
            )
    # Rows that an earlier call measured keep the time of theirs.
    found = [{"measured": described["measured"], **record(row)} for row in rows]
    merged = commands.kept(earlier, "rows", found, itemgetter("target", "scheme"))
    commands.write(arguments.out, {"machine": described, **same, "rows": merged})
    print(console.table(HEADERS, [cells(row, limit) for row in rows]))
    print(f"limit: 4 × float32 weights + 1 GiB = {limit / 1e6:.0f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(commands.run(main))
