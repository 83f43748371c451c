"""Our artifacts against each converter's stock path, the same weights, in turn.

    python benchmarks/versus_stock.py [--models distilbert,bert-base,teacher,student]
        [--targets tflite,executorch,onnx,coreml] [--schemes fp32] [--lengths 384] [--add]

For each model and length: the stock artifacts (``benchmarks/stock.py``; a path that fails is a
row with its reason) and ours are built, held against the checkpoint on the same real texts, loaded
in fresh processes for load time, first run and memory, and then timed in turn (A B C A B C …), all
at the same length with the same number of threads. Ratios are paired by round, with 95 % bootstrap
intervals; ours stands against the better of a runtime's stock artifacts. ``distilbert`` and
``bert-base`` have seeded random weights of full size: time and size do not depend on them. Where
both are measured, ours of the two are then timed in turn as well.

Prints tables and writes ``benchmarks/results/versus_stock.json``, raw samples included. What was
built is kept in ``--bundles`` and not built again; ``--add`` keeps the results there of models and
lengths that this run does not measure.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import artifacts
import commands
import machine
import numpy as np
import stock
from artifacts import Absent, Artifact, Opened
from figures import as_json, as_text, paired_ratio

from ondevice import console
from ondevice.bench import protocol
from ondevice.bench.protocol import PassError, Timed
from ondevice.models import Checkpoint
from ondevice.schemes import get_scheme
from ondevice.statistics import summarize

RESULTS = Path(__file__).parent / "results" / "versus_stock.json"
MODELS = "distilbert,bert-base,teacher,student"
HEADERS = (
    *("model", "L", "target", "artifact", "max abs", "MB", "load ms", "first ms"),
    *("peak (before) MB", "median ms", "p90 ms", "ours / stock"),
)
# Of a reason in the table; the results have all of it.
REASON_CHARACTERS = 100
# Timed against each other at the end, where both were asked for.
PAIR = ("distilbert", "bert-base")
# Runtimes side by side, ours: how much a runtime costs over another with the same weights.
BESIDE = "tflite"


@dataclass(frozen=True)
class Options:
    """What to measure, in the words of the command line."""

    targets: tuple[str, ...]
    schemes: tuple[str, ...]
    lengths: tuple[int, ...]
    threads: int
    iterations: int
    loads: int
    bundles: Path


@dataclass
class Row:
    """One artifact at one length, and what was found out about it.

    Attributes:
        agreement: a row of :mod:`ondevice.verify.parity`, held against transformers in float32.
        loads: for each fresh process: load and first run in ns, bytes before the load and at peak.
        reason: why there is nothing, or nothing more.
    """

    made: Artifact | Absent
    length: int
    agreement: dict[str, Any] = field(default_factory=dict)
    loads: list[dict[str, int]] = field(default_factory=list)
    timed: Timed = field(default_factory=Timed)
    runtime: str = ""
    reason: str = ""

    @property
    def key(self) -> str:
        """A name that no other row of the same model and length has."""
        return f"{self.made.target} {self.made.origin} {self.made.scheme}"

    @property
    def samples(self) -> list[int]:
        """The model's own time in each round, ns."""
        return [one.infer for one in self.timed.passes]


def collect(checkpoint: Checkpoint, length: int, options: Options) -> list[Row]:
    """Make everything that is compared at one length; what cannot be made is a row as well."""
    rows: list[Artifact | Absent] = []
    for name, path in stock.PATHS.items():
        if path.target in options.targets:
            say(f"{checkpoint.name} {length}: {path.title}")
            rows.append(artifacts.make_stock(checkpoint, name, length, options.bundles))
    for target in options.targets:
        if target in artifacts.TARGETS:
            say(f"{checkpoint.name} {length}: ours for {target}")
            rows += artifacts.build_ours(
                checkpoint, target, options.schemes, [length], options.bundles
            )
    return [
        Row(made, length, reason=made.reason if isinstance(made, Absent) else "") for made in rows
    ]


def runnable(rows: Sequence[Row]) -> list[tuple[Row, Artifact]]:
    """Return the rows that there is an artifact to run of, and nothing against it."""
    found = []
    for row in rows:
        if isinstance(row.made, Artifact) and not row.reason:
            if row.made.target in artifacts.TARGETS:
                found.append((row, row.made))
            else:
                row.reason = "converted; its runtime exists on Apple systems only"
    return found


def check(rows: Sequence[Row], checkpoint: Checkpoint, length: int, threads: int) -> None:
    """Hold each artifact against the checkpoint; one that disagrees is not timed."""
    from ondevice.verify import parity, reference

    cases = reference.make_cases(checkpoint, [length])
    for row, artifact in runnable(rows):
        limit = get_scheme(artifact.scheme).limit
        with attempt(row), Opened(artifact, threads) as process:
            row.runtime = f"{process.runtime} {process.version}"
            (found,) = parity.check(process, cases, artifact.inputs, "qa", limit)
            row.agreement = found.model_dump()
            if found.status != "passed":
                row.reason = f"does not agree with the checkpoint: {found.reason}"


def load_often(rows: Sequence[Row], length: int, options: Options) -> None:
    """Load each artifact in fresh processes, in turn."""
    for row, artifact in protocol.interleave(runnable(rows), options.loads):
        if row.reason:
            continue
        with attempt(row), Opened(artifact, options.threads) as process:
            row.loads.append(
                {
                    "load": process.nanoseconds,
                    "first": process.time_pass(length).infer,
                    "before": process.resident or 0,
                    "peak": process.peak(),
                }
            )


def time_all(rows: Sequence[Row], length: int, options: Options) -> None:
    """Time the artifacts in turn, each in a process of its own."""
    with contextlib.ExitStack() as stack:
        passes = {}
        for row, artifact in runnable(rows):
            with attempt(row):
                process = stack.enter_context(Opened(artifact, options.threads))
                passes[row.key] = partial(process.time_pass, length)
        timed = protocol.run_interleaved(passes, options.iterations)
    for row in rows:
        if row.key in timed:
            row.timed = timed[row.key]
            row.reason = row.timed.failure


@contextlib.contextmanager
def attempt(row: Row) -> Iterator[None]:
    """Note down why an artifact drops out; the others go on."""
    try:
        yield
    except PassError as error:
        row.reason = str(error)


def is_timed(row: Row) -> bool:
    """Whether it ran to the end: one that dropped out half way gives no figure."""
    return bool(row.samples) and not row.reason


def best_stock(rows: Sequence[Row], target: str) -> Row | None:
    """Return a runtime's faster stock artifact; None if none was timed."""
    timed = [
        row
        for row in rows
        if row.made.target == target and row.made.origin != "ours" and is_timed(row)
    ]
    return min(timed, key=lambda row: float(np.median(row.samples)), default=None)


def ratios(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return each of our artifacts over the better stock one, and over ours on TFLite."""
    found = []
    ours = [row for row in rows if row.made.origin == "ours" and is_timed(row)]
    for row in ours:
        beside = [
            one for one in ours if one.made.target == BESIDE and one.made.scheme == row.made.scheme
        ]
        others = [best_stock(rows, row.made.target), *(one for one in beside if one is not row)]
        found += [
            {"of": row.key, "to": other.key} | as_json(paired_ratio(row.samples, other.samples))
            for other in others
            if other is not None
        ]
    return found


def pair(models: Sequence[Sequence[Row]], options: Options) -> list[dict[str, Any]]:
    """Time ours of two models at one length, in turn; return the first over the second.

    For each runtime and scheme that both have. It is the paper's comparison (Sanh et al. 2019,
    table 3): a model and one of half its layers, at equal length, on the same path.
    """
    found = []
    for row, other in itertools.product(*models):
        ours = row.made.origin == other.made.origin == "ours"
        if not ours or row.key != other.key or not (is_timed(row) and is_timed(other)):
            continue
        assert isinstance(row.made, Artifact)
        assert isinstance(other.made, Artifact)
        with Opened(row.made, options.threads) as one, Opened(other.made, options.threads) as two:
            opened = {"of": one, "to": two}
            passes = {name: partial(each.time_pass, row.length) for name, each in opened.items()}
            timed = protocol.run_interleaved(passes, options.iterations)
        if reason := timed["of"].failure or timed["to"].failure:
            say(f"{row.key}: {reason}")
            continue
        samples = {name: [each.infer for each in run.passes] for name, run in timed.items()}
        names = {"of": f"{row.made.model} {row.key}", "to": f"{other.made.model} {other.key}"}
        found.append(
            names
            | {"length": row.length, "samples": samples}
            | as_json(paired_ratio(samples["of"], samples["to"]))
        )
    return found


def cells(row: Row, against: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """Return a row of the table."""
    made = row.made
    ours = made.origin == "ours"
    name = f"ours {made.scheme}" if ours else stock.PATHS[made.origin].title
    head = (made.model, str(row.length), made.target, name)
    if not is_timed(row):
        return (*head, *["–"] * 7, (row.reason or "not run")[:REASON_CHARACTERS])
    summary = summarize(row.samples)
    ratio = against.get(row.key)
    assert isinstance(made, Artifact)
    return (
        *head,
        f"{row.agreement['max_abs']:.1e}",
        f"{made.bytes / 1e6:.1f}",
        _middle([one["load"] / 1e6 for one in row.loads]),
        _middle([one["first"] / 1e6 for one in row.loads]),
        _memory(row.loads),
        f"{summary.median.value / 1e6:.1f}",
        f"{summary.p90.value / 1e6:.1f}",
        as_text(ratio) if ratio else "–",
    )


def _middle(values: Sequence[float], form: str = ".1f") -> str:
    return format(np.median(values), form) if values else "–"


def _memory(loads: Sequence[Mapping[str, int]]) -> str:
    """Return the peak of a fresh process, and what its runtime's imports took before the load."""
    if not loads:
        return _middle([])
    names = ("peak", "before")
    peak, before = (_middle([one[name] / 1e6 for one in loads], ".0f") for name in names)
    return f"{peak} ({before})"


def record(row: Row) -> dict[str, Any]:
    """Return a row as the results have it; times in ns, in the order of the rounds."""
    made = row.made
    return {
        "key": row.key,
        "target": made.target,
        "origin": made.origin,
        "scheme": made.scheme,
        "title": "ours" if made.origin == "ours" else stock.PATHS[made.origin].title,
        "reason": row.reason,
        "runtime": row.runtime,
        "bytes": made.bytes if isinstance(made, Artifact) else None,
        "notes": dict(made.notes) if isinstance(made, Artifact) else {},
        "agreement": row.agreement,
        "loads": row.loads,
        "warmup": [one.infer for one in row.timed.warmup],
        "stable": row.timed.stable,
        "samples": row.samples,
    }


def measure(checkpoint: Checkpoint, length: int, options: Options) -> list[Row]:
    """Make, check, load and time everything at one length."""
    rows = collect(checkpoint, length, options)
    check(rows, checkpoint, length, options.threads)
    say(f"{checkpoint.name} {length}: loading each {options.loads} times")
    load_often(rows, length, options)
    say(f"{checkpoint.name} {length}: timing each {options.iterations} times")
    time_all(rows, length, options)
    return rows


def say(text: str) -> None:
    """Say on stderr what is going on."""
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """Measure every model at every length, print the tables, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", default=MODELS, help="shapes, embedded names, directories")
    parser.add_argument("--targets", default="tflite,executorch,onnx,coreml")
    parser.add_argument("--schemes", default="fp32", help="of ours; stock is fp32")
    parser.add_argument("--lengths", default="384")
    parser.add_argument("--threads", type=commands.whole("--threads"), default=2)
    parser.add_argument(
        "--iterations", type=commands.whole("--iterations"), default=50, help="timed rounds"
    )
    parser.add_argument("--loads", type=commands.whole("--loads"), default=protocol.COLD_LOADS)
    parser.add_argument("--bundles", type=Path, default=artifacts.BUNDLES)
    parser.add_argument("--add", action="store_true", help="keep the other results of --out")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    targets = commands.words(arguments.targets, "target", (*artifacts.TARGETS, "coreml"))
    options = Options(
        targets=targets,
        schemes=commands.schemes(arguments.schemes, targets),
        lengths=commands.numbers(arguments.lengths, "length"),
        threads=arguments.threads,
        iterations=arguments.iterations,
        loads=arguments.loads,
        bundles=arguments.bundles,
    )
    described = machine.describe()
    earlier = None
    if arguments.add:
        same = {"threads": options.threads}
        earlier = commands.read_earlier(arguments.out, described, same)
    names = commands.words(arguments.models, "model")
    found = [artifacts.find_checkpoint(one, options.bundles / "checkpoints") for one in names]
    document: dict[str, Any] = {
        "machine": described,
        "threads": options.threads,
        "timer": protocol.TIMER,
        "warmup": protocol.WARMUP_RULE,
        "groups": [],
        "pairs": [],
    }
    done: dict[tuple[str, int], list[Row]] = {}
    for model, checkpoint in zip(names, found, strict=True):
        for length in options.lengths:
            rows = done[model, length] = measure(checkpoint, length, options)
            own = ratios(rows)
            # Groups that an earlier run measured keep the time of theirs.
            group = {
                "model": checkpoint.name,
                "length": length,
                "measured": described["measured"],
                "ratios": own,
            }
            document["groups"].append({**group, "rows": [record(row) for row in rows]})
            commands.write(arguments.out, added(earlier, document))
            show(rows, own)
    for length in options.lengths:
        if all((model, length) in done for model in PAIR):
            document["pairs"] += pair([done[model, length] for model in PAIR], options)
            commands.write(arguments.out, added(earlier, document))
    for one in document["pairs"]:
        print(f"{one['of']} / {one['to']}, length {one['length']}: {as_text(one)}")
    return 0


def added(earlier: Mapping[str, Any] | None, document: dict[str, Any]) -> dict[str, Any]:
    """Return a document with what an earlier one has of other models and lengths."""
    groups = commands.kept(
        earlier, "groups", document["groups"], lambda one: (one["model"], one["length"])
    )
    pairs = commands.kept(
        earlier, "pairs", document["pairs"], lambda one: (one["of"], one["to"], one["length"])
    )
    return {**document, "groups": groups, "pairs": pairs}


def show(rows: Sequence[Row], found: Sequence[Mapping[str, Any]]) -> None:
    """Print the table of one model and length, and the ratios between runtimes under it."""
    against = {one["of"]: one for one in found if " ours " not in one["to"]}
    print(console.table(HEADERS, [cells(row, against) for row in rows]))
    for one in found:
        if " ours " in one["to"]:
            print(f"{one['of']} / {one['to']}: {as_text(one)}")
    print(flush=True)


if __name__ == "__main__":
    sys.exit(commands.run(main))
