"""Every scheme of every target for one model, as one table: size, F1, flips, latency, verify.

    python benchmarks/schemes.py [--model student] [--targets coreml,tflite,executorch,onnx]
        [--schemes fp16,int8,…] [--data FILE] [--examples N] [--add]

Builds every bundle that is not built yet, asks each the same questions as its checkpoint in
PyTorch, times what runs here (one window at the longest length, text to answer), and verifies it.
Unlike ``ondevice search`` it drops nobody, and asks all questions on every target, in Core ML's
reference interpreter too. Answers and times are kept beside the bundles: a run that was interrupted
goes on. ``--add`` keeps what the result has of other targets and schemes, if it is of the same
weights, questions, machine and versions.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import commands
import machine

from ondevice import bundle, console
from ondevice.errors import GateError
from ondevice.keeping import MB
from ondevice.plan import DEFAULT_OUT
from ondevice.search import SearchOptions, document, pipeline, table
from ondevice.search.build import build_all
from ondevice.search.candidates import load_models, make_candidates
from ondevice.search.contender import Contender
from ondevice.search.files import held
from ondevice.search.options import NONE
from ondevice.search.workshop import Workshop
from ondevice.targets import TARGETS
from ondevice.verify import check
from ondevice.verify.options import REFERENCE_EXAMPLES

RESULTS = Path(__file__).parent / "results" / "schemes.json"
HEADERS = (
    *("target", "scheme", "MB", "F1", "drop", "of fp32 %", "flips %", "ms", "p90 ms"),
    *("questions", "evidence", "verify"),
)


def main() -> int:
    """Print the table; return 3 if an artifact is missing or a check failed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="student")
    parser.add_argument("--targets", default=",".join(TARGETS))
    parser.add_argument("--schemes", help="with commas (default: all of each target)")
    parser.add_argument("--data", type=Path, help="SQuAD JSON (default: the samples)")
    parser.add_argument(
        "--examples",
        type=commands.whole("--examples", 0),
        default=0,
        help="at most so many questions, 0 for all (default: %(default)s)",
    )
    parser.add_argument("--lengths", default="384", help="that each artifact serves, with commas")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT / "schemes")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--add", action="store_true", help="keep the other rows of --results")
    arguments = parser.parse_args()
    options = SearchOptions(
        models=(arguments.model,),
        targets=commands.words(arguments.targets, "target", (*TARGETS, "all")),
        schemes=commands.words(arguments.schemes, "scheme") if arguments.schemes else None,
        lengths=(commands.numbers(arguments.lengths, "length"),),
        data=arguments.data,
        questions=arguments.examples,
        keep=NONE,
        out=arguments.out,
    )
    return run(options, arguments.results, add=arguments.add)


def run(options: SearchOptions, results: Path, *, add: bool) -> int:
    """Measure, print and write the results; return the exit code."""
    progress = console.Progress()
    data, examples = pipeline.read_examples(options)
    models = load_models(options.models)
    described = machine.describe()
    same = {
        "model": options.models[0],
        # Of the checkpoint's weights: figures of another one are not these.
        "model_sha256": models[0].checkpoint.sha256,
        "lengths": list(options.lengths[0]),
        "examples": options.questions,
        "data": {
            "name": data.name,
            "sha256": bundle.hash_file(data),
            "questions": len(examples),
        },
    }
    earlier = commands.read_earlier(results, described, same) if add else None
    contenders = [Contender(one) for one in make_candidates(options, models)]
    rows = []
    with held(options.out), Workshop() as workshop:
        judge = pipeline.make_judge(options, models, None, contenders, workshop, progress)
        build_all(contenders, models, workshop, options.out / pipeline.FAILURES, progress)
        workshop.dismiss()
        for one in contenders:
            asked = pipeline.questions_for(one.candidate.target, options, examples)
            if one.outcome == "open":
                judge.judge(one, asked)
            if one.outcome == "open":
                pipeline.time_one(one, options=options, progress=progress)
            rows.append((one, verify(one, options, len(asked), progress)))
    found = [{"measured": machine.now(), **facts(one), "verify": checks} for one, checks in rows]
    merged = commands.kept(earlier, "rows", found, itemgetter("target", "scheme"))
    order = {name: place for place, name in enumerate(TARGETS)}
    merged.sort(key=lambda row: order[row["target"]])
    commands.write(results, {"machine": described, **same, "rows": merged})
    print(console.table(HEADERS, [row_of(row) for row in merged]))
    for one, _ in rows:
        if one.reason:
            print(f"{one.outcome}: {one.candidate.target} {one.candidate.scheme}: {said(one)}")
    failed = any(
        one.outcome == "failed" or any(row["status"] == "failed" for row in checks)
        for one, checks in rows
    )
    return GateError.exit_code if failed else 0


def facts(one: Contender) -> dict[str, Any]:
    """Return what is known of an artifact, without where it lies here."""
    known = document.facts(one)
    del known["path"]
    return known | {"reason": said(one)}


def verify(
    one: Contender, options: SearchOptions, asked: int, progress: console.Progress
) -> list[dict[str, Any]]:
    """Verify a bundle on this machine's runtime; return the rows of its table.

    The task gate has no more questions than the interpreter is asked in ``ondevice verify``: the
    table's own figures come from all.
    """
    if one.place is None:
        return []
    gate = check.VerifyOptions(
        data=options.data,
        model=one.candidate.options.model,
        examples=min(asked, REFERENCE_EXAMPLES),
    )
    title = f"verifying {one.candidate.target} {one.candidate.scheme}"
    progress.say(f"  {title}")
    manifest, rows = check.run(one.place, gate, progress)
    check.record(one.place, manifest, rows)
    return [row.model_dump() for row in rows]


def row_of(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return an artifact's row of the table."""
    figures, times, size = row["figures"], row["times"], row["bytes"]
    untimed = "not run" if times.get("reason") and figures else table.NOTHING
    median, p90 = (times.get(name) for name in ("median_ms", "p90_ms"))
    known = figures or {}
    return (
        row["target"],
        row["scheme"],
        "not published" if size is None else f"{size / MB:.2f}",
        interval(known.get("f1"), ".1f"),
        interval(known.get("drop"), "+.2f"),
        interval(known.get("kept"), ".1f"),
        table.NOTHING if not known else f"{known['flips']['value']:.1f}",
        untimed if median is None else f"{median['value']:.1f}",
        untimed if p90 is None else f"{p90['value']:.1f}",
        str(known.get("questions", table.NOTHING)),
        row["evidence"] if known else table.NOTHING,
        outcome(row["verify"]),
    )


def interval(found: Mapping[str, float | None] | None, form: str) -> str:
    """Return a figure with its 95 % interval."""
    if found is None or found["value"] is None:
        return table.NOTHING
    value, low, high = (f"{found[name]:{form}}" for name in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def outcome(checks: Sequence[Mapping[str, Any]]) -> str:
    """Say how ``ondevice verify`` ended: passed, or what failed; what did not run is counted."""
    if not checks:
        return table.NOTHING
    failed = [row["check"] for row in checks if row["status"] == "failed"]
    count = Counter(row["status"] for row in checks)
    if failed:
        return f"FAILED: {', '.join(failed)}"
    absent = f", {count['not_run']} not run" if count["not_run"] else ""
    return f"passed ({count['passed']}{absent})"


def said(one: Contender) -> str:
    """Return why an artifact is none."""
    return table.short(one.reason)


if __name__ == "__main__":
    sys.exit(commands.run(main))
