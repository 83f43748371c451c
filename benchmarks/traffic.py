"""What length buckets save on a user's own questions, and the whole way from a stock teacher.

    python benchmarks/traffic.py [--data SQUAD.json] [--questions 300] [--targets …]
        [--schemes fp32,int8] [--buckets 4] [--choose-from SQUAD.json] [--add]

The questions go through the student padded to 384 tokens, and padded to the shortest of the
lengths that ``--lengths auto`` chooses from ``--choose-from``; the same artifact both times. The
teacher's stock artifacts (float32, 384 tokens) answer the same questions. For each question all
of them take turns; a time is that of the whole answer: tokenizing, every window, choosing the span.
Questions are taken at even distances. Ratios are of mean times, paired by question.

Without ``--choose-from`` the lengths are chosen on the questions that are then timed, and suit them
better than they will suit others.

Prints tables and writes ``benchmarks/results/traffic.json``; ``--add`` keeps the artifacts there
that this run does not ask again, if they are of the same models and answered the same questions at
the same lengths.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections import Counter
from collections.abc import Sequence
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

from ondevice import console, lengths, samples
from ondevice.bench import entries, protocol
from ondevice.bench.protocol import Pass, PassError
from ondevice.errors import UserError
from ondevice.models import Checkpoint
from ondevice.statistics import Interval, summarize
from ondevice.tasks.qa import QAExample, QAOptions

RESULTS = Path(__file__).parent / "results" / "traffic.json"
HEADERS = ("target", "scheme", "padded to", "windows", "mean ms", "p50 ms", "p90 ms", "ratio")


@dataclass
class Run:
    """One artifact under one rule of padding.

    Attributes:
        lengths: what a window may be padded to; the shortest that it fits is taken.
        passes: of each question, in their order.
        windows: how many windows ran at each length.
        reason: why there is nothing, or nothing more.
    """

    artifact: Artifact | Absent
    lengths: tuple[int, ...]
    passes: list[Pass] = field(default_factory=list)
    windows: Counter[int] = field(default_factory=Counter)
    reason: str = ""

    @property
    def key(self) -> str:
        """A name that no other run has."""
        one = self.artifact
        return f"{one.model} {one.target} {one.origin} {one.scheme} {self.rule}"

    @property
    def rule(self) -> str:
        """What its windows are padded to."""
        return "/".join(map(str, self.lengths))

    @property
    def samples(self) -> list[int]:
        """The whole time of each question, ns."""
        return [one.total for one in self.passes]


def plan(students: Sequence[Artifact | Absent], teachers: Sequence[Artifact | Absent]) -> list[Run]:
    """Return the runs: each student at its longest length and at all, each teacher at its own."""
    runs = []
    for one in (*students, *teachers):
        served = one.lengths if isinstance(one, Artifact) else ()
        rules = [served[-1:], served] if len(served) > 1 else [served]
        reason = one.reason if isinstance(one, Absent) else ""
        runs += [Run(one, rule, reason=reason) for rule in rules]
    return runs


def ask_all(
    runs: Sequence[Run], examples: Sequence[QAExample], options: QAOptions, threads: int
) -> None:
    """Ask every artifact every question, in turn; one that fails drops out, the others go on."""
    with contextlib.ExitStack() as stack:
        processes: dict[Path, Opened] = {}
        for run in runs:
            if isinstance(run.artifact, Artifact) and not run.reason:
                try:
                    # Both rules of padding share a process: its other length costs no time.
                    if run.artifact.path not in processes:
                        processes[run.artifact.path] = stack.enter_context(
                            Opened(run.artifact, threads)
                        )
                except PassError as error:
                    run.reason = str(error)
        _warm(runs, processes)
        for number, example in enumerate(examples):
            # Every second question backwards: whoever runs second has the caches warm.
            for run in runs[:: -1 if number % 2 else 1]:
                if not run.reason:
                    assert isinstance(run.artifact, Artifact)
                    time.sleep(protocol.PAUSE_SECONDS)
                    _ask(run, processes[run.artifact.path], example, options)


def _warm(runs: Sequence[Run], processes: dict[Path, Opened]) -> None:
    """Run every length until its times have settled."""
    passes = {
        f"{number} {length}": partial(process.time_pass, length)
        for number, process in enumerate(processes.values())
        for length in process.artifact.lengths
    }
    timed = protocol.run_interleaved(passes, 0)
    for number, path in enumerate(processes):
        for run in runs:
            if isinstance(run.artifact, Artifact) and run.artifact.path == path:
                failures = [timed[f"{number} {length}"].failure for length in run.lengths]
                run.reason = next(filter(None, failures), "")


def _ask(run: Run, process: Opened, example: QAExample, options: QAOptions) -> None:
    try:
        reply = process.ask(example.question, example.context, options, run.lengths)
    except PassError as error:
        run.reason = str(error)
        return
    run.passes.append(Pass(*reply["stages"]))
    run.windows.update(reply["windows"])


def mean_ratio(above: Run, below: Run) -> Interval:
    """Return the ratio of the mean times of two runs, paired by question."""
    return paired_ratio(above.samples, below.samples, np.mean)


def compare(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Return the ratios: buckets over fixed, and each student with buckets over stock teachers.

    A target's stock teacher is the faster of its stock artifacts.
    """
    done = [run for run in runs if run.samples and not run.reason]
    found = []
    for run in done:
        if run.artifact.origin != "ours" or len(run.lengths) < 2:
            continue
        fixed = [
            one for one in done if one.artifact is run.artifact and one.lengths == run.lengths[-1:]
        ]
        teachers = [
            one
            for one in done
            if one.artifact.origin != "ours" and one.artifact.target == run.artifact.target
        ]
        best = sorted(teachers, key=lambda one: float(np.mean(one.samples)))[:1]
        found += [
            {"of": run.key, "to": other.key} | as_json(mean_ratio(run, other))
            for other in (*fixed, *best)
        ]
    return found


def cells(run: Run, ratios: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """Return a run's row of the table."""
    one = run.artifact
    name = one.scheme if one.origin == "ours" else stock.PATHS[one.origin].title
    head = (one.target, f"{one.model} {name}", run.rule or "–")
    if run.reason or not run.samples:
        return (*head, *["–"] * 4, run.reason or "not run")
    summary = summarize(run.samples)
    to_fixed = [r for r in ratios if r["of"] == run.key and " ours " in r["to"]]
    return (
        *head,
        " ".join(f"{count}×{length}" for length, count in sorted(run.windows.items())),
        f"{summary.mean / 1e6:.1f}",
        f"{summary.median.value / 1e6:.1f}",
        f"{summary.p90.value / 1e6:.1f}",
        as_text(to_fixed[0]) if to_fixed else "–",
    )


def record(run: Run) -> dict[str, Any]:
    """Return a run as the results have it; times in ns, in the order of the questions."""
    return {
        "key": run.key,
        "target": run.artifact.target,
        "origin": run.artifact.origin,
        "scheme": run.artifact.scheme,
        "lengths": run.lengths,
        "reason": run.reason,
        "windows": {str(length): count for length, count in sorted(run.windows.items())},
        "samples": run.samples,
        "infer": [one.infer for one in run.passes],
    }


def choose_lengths(checkpoint: Checkpoint, arguments: argparse.Namespace) -> tuple[int, ...]:
    """Return the lengths to serve: those given, or those that suit the data best.

    Raises:
        UserError: the lengths given do not end with the longest.
    """
    if arguments.lengths == "auto":
        source = arguments.choose_from or arguments.data
        choice = lengths.from_data(checkpoint, source, arguments.longest, arguments.buckets)
        return choice.lengths
    given = commands.numbers(arguments.lengths, "length")
    if given[-1] != arguments.longest:
        raise UserError(f"--lengths must end with {arguments.longest}, what 'fixed' is padded to")
    return given


def make_artifacts(
    student: Checkpoint,
    teacher: Checkpoint,
    served: tuple[int, ...],
    arguments: argparse.Namespace,
) -> list[Run]:
    """Build the student and convert the teacher for every target."""
    targets = commands.words(arguments.targets, "target", artifacts.TARGETS)
    schemes = commands.schemes(arguments.schemes, targets)
    students: list[Artifact | Absent] = []
    teachers: list[Artifact | Absent] = []
    for target in targets:
        print(f"making {target}", file=sys.stderr, flush=True)
        students += artifacts.build_ours(student, target, schemes, served, arguments.bundles)
        teachers += [
            artifacts.make_stock(teacher, name, arguments.longest, arguments.bundles)
            for name, path in stock.PATHS.items()
            if path.target == target
        ]
    return plan(students, teachers)


def main() -> int:
    """Ask, print the tables, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=samples.qa_path(), help="SQuAD JSON")
    parser.add_argument(
        "--questions", type=commands.whole("--questions", 0), default=300, help="0: all of them"
    )
    parser.add_argument("--model", default="student")
    parser.add_argument("--teacher", default="teacher", help="its stock artifacts are the baseline")
    parser.add_argument("--targets", default=",".join(artifacts.TARGETS))
    parser.add_argument("--schemes", default="fp32,int8")
    parser.add_argument("--lengths", default="auto")
    parser.add_argument("--choose-from", type=Path, help="SQuAD JSON for 'auto' (default: --data)")
    parser.add_argument("--longest", type=commands.whole("--longest", 16), default=384)
    parser.add_argument(
        "--buckets", type=commands.whole("--buckets"), default=lengths.DEFAULT_COUNT
    )
    parser.add_argument("--threads", type=commands.whole("--threads"), default=2)
    parser.add_argument("--bundles", type=Path, default=artifacts.BUNDLES)
    parser.add_argument("--add", action="store_true", help="keep the other targets of --out")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    described = machine.describe()
    asked = entries.read_questions(arguments.data, "qa", arguments.questions)
    student, teacher = (
        artifacts.find_checkpoint(one, arguments.bundles / "checkpoints")
        for one in (arguments.model, arguments.teacher)
    )
    served = choose_lengths(student, arguments)
    source = f"chosen from {(arguments.choose_from or arguments.data).name}"
    same = {
        "threads": arguments.threads,
        "data": asked.data.model_dump(),
        "lengths": list(served),
        "chosen": source if arguments.lengths == "auto" else "given",
        "models": [{"name": one.name, "sha256": one.sha256} for one in (student, teacher)],
    }
    earlier = commands.read_earlier(arguments.out, described, same) if arguments.add else None
    runs = make_artifacts(student, teacher, served, arguments)
    print(f"asking {len(asked.examples)} questions", file=sys.stderr, flush=True)
    options = QAOptions.for_length(arguments.longest)
    ask_all(runs, asked.examples, options, arguments.threads)
    found = compare(runs)
    # Runs that an earlier call measured keep the time of theirs.
    records = [{"measured": described["measured"], **record(run)} for run in runs]
    document = {
        "machine": described,
        "timer": protocol.TIMER,
        "warmup": protocol.WARMUP_RULE,
        **same,
        "ratios": commands.kept(earlier, "ratios", found, lambda one: (one["of"], one["to"])),
        "runs": commands.kept(earlier, "runs", records, lambda one: one["key"]),
    }
    commands.write(arguments.out, document)
    print(f"{len(asked.examples)} questions of {asked.data.name}; lengths {document['chosen']}")
    print(console.table(HEADERS, [cells(run, found) for run in runs]))
    for one in found:
        if " ours " not in one["to"]:
            print(f"{one['of']} / {one['to']}: {as_text(one)}")
    return 0


if __name__ == "__main__":
    sys.exit(commands.run(main))
