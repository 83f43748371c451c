"""The evidence for an embedded model over all targets and schemes, as one table.

    python benchmarks/evidence.py [--model student] [--targets coreml,tflite,executorch,onnx]
        [--schemes fp32,int8] [--eval FILE] [--examples N] [--add]

Builds every bundle that is not built yet, verifies each (files, goldens, task gate, older
runtimes in environments of their own, file format, delegation), prints a table, and writes every
row of it to ``benchmarks/results/evidence.json``, after each bundle. Nothing is timed. ``--add``
keeps the results there of bundles that are not verified again, if they are of the same weights,
machine and versions, and prints them too.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import commands
import machine

from ondevice import build, console, models
from ondevice.manifest import CheckInfo, Manifest
from ondevice.plan import DEFAULT_OUT, BuildOptions
from ondevice.targets import TARGETS
from ondevice.verify import check
from ondevice.verify.pip_runtimes import RUNTIMES, installed, parse_version
from ondevice.verify.promises import outcome

RESULTS = Path(__file__).parent / "results" / "evidence.json"
HEADERS = ("target", "scheme", "MB", "goldens", "F1 drop", "flips", "delegated", "runtimes")


def main() -> int:
    """Build, verify and print; return 3 if a check failed, as ``ondevice verify`` does."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default=models.DEFAULT_MODEL)
    parser.add_argument("--targets", default=",".join(TARGETS))
    parser.add_argument("--schemes", help="of each target those that it has (default: all)")
    parser.add_argument("--eval", type=Path, help="SQuAD JSON (default: the samples)")
    parser.add_argument("--examples", type=int, help="of the task gate (default: verify's)")
    parser.add_argument("--add", action="store_true", help="keep the other results of --results")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT)
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    targets = commands.words(arguments.targets, "target", tuple(TARGETS))
    described = machine.describe()
    # Of the checkpoint's weights: figures of another one are not these.
    same = {"model": arguments.model, "model_sha256": models.load(arguments.model).sha256}
    earlier = commands.read_earlier(arguments.results, described, **same) if arguments.add else None
    document: dict[str, Any] = {"machine": described, **same, "bundles": []}
    merged = added(earlier, document)
    for target, schemes in schemes_of(targets, arguments.schemes).items():
        made = build_all(arguments.model, target, schemes, arguments.out)
        runtimes = runtimes_of(target, [one.manifest for one in made if one.manifest is not None])
        for one in made:
            # Bundles that an earlier run verified keep the time of theirs.
            record = {"measured": machine.describe()["measured"]}
            document["bundles"].append(record | verify(one, runtimes, arguments))
            merged = added(earlier, document)
            commands.write(arguments.results, merged)
    print(console.table(HEADERS, [row_of(record) for record in merged["bundles"]]))
    rows = [row for record in merged["bundles"] for row in record["checks"]]
    # What an older runtime refuses is a finding of this table, not a fault.
    failed = any(row["status"] == "failed" and row["check"] != "runtime" for row in rows)
    return 3 if failed else 0


def schemes_of(targets: Sequence[str], wanted: str | None) -> dict[str, tuple[str, ...]]:
    """Return each target's schemes, of those that are wanted.

    Raises:
        UserError: no target has one of them.
    """
    known = tuple(dict.fromkeys(name for target in targets for name in TARGETS[target].schemes))
    names = known if wanted is None else commands.words(wanted, "scheme", known)
    found = {
        target: tuple(name for name in TARGETS[target].schemes if name in names)
        for target in targets
    }
    return {target: schemes for target, schemes in found.items() if schemes}


def added(earlier: Mapping[str, Any] | None, document: dict[str, Any]) -> dict[str, Any]:
    """Return a document with the bundles of an earlier one that it does not have itself."""
    if earlier is None:
        return document
    again = {(one["target"], one["scheme"]): one for one in document["bundles"]}
    before = {(one["target"], one["scheme"]): one for one in earlier["bundles"]}
    # In the order of the targets and their schemes, whichever was verified last.
    order = [(name, scheme) for name, target in TARGETS.items() for scheme in target.schemes]
    everything = before | again
    return {**document, "bundles": [everything[key] for key in order if key in everything]}


def build_all(model: str, target: str, schemes: tuple[str, ...], out: Path) -> list[build.Built]:
    """Build some of a target's schemes."""
    options = BuildOptions(model=model, targets=(target,), schemes=schemes, out=out)
    return build.run(options, console.Progress())


def runtimes_of(target: str, manifests: list[Manifest]) -> tuple[str, ...]:
    """Return the runtimes that every bundle of a target is run on, oldest first.

    Those are the oldest versions that any of the target's schemes promises, so that a scheme that
    promises less is shown to fail there, and what is installed here.
    """
    names = [name for name, runtime in RUNTIMES.items() if runtime.target == target]
    found = []
    for name in names:
        promised = {manifest.artifact.min_runtime.get(name, "") for manifest in manifests}
        versions = {parse_version(one): one for one in (*promised, installed(name)) if one}
        found += [f"{name}=={versions[one].split('+')[0]}" for one in sorted(versions)]
    return tuple(found)


def verify(
    built: build.Built, runtimes: tuple[str, ...], arguments: argparse.Namespace
) -> dict[str, Any]:
    """Verify one bundle; return what the table and the results say of it."""
    record: dict[str, Any] = {
        "target": built.job.target.name,
        "scheme": built.job.scheme.name,
        "published": built.manifest is not None,
        # Without the place of the log, which is gone by the time that it is read.
        "failure": None if built.failure is None else str(built.failure).split(" (log:")[0],
        "bytes": None,
        "checks": [],
    }
    if built.manifest is None:
        return record
    options = check.VerifyOptions(
        data=arguments.eval,
        examples=arguments.examples,
        runtimes=runtimes,
    )
    manifest, rows = check.run(built.job.place, options, console.Progress())
    check.record(built.job.place, manifest, rows)
    return record | {
        "bytes": manifest.artifact.bytes,
        "model_sha256": manifest.model.sha256,
        "checks": [row.model_dump() for row in rows],
    }


def row_of(record: dict[str, Any]) -> tuple[str, ...]:
    """Return a bundle's row of the table."""
    if not record["published"]:
        return (record["target"], record["scheme"], "not published", *["–"] * (len(HEADERS) - 3))
    rows = [CheckInfo(**row) for row in record["checks"]]
    outputs = next(row for row in rows if row.check == "goldens: outputs")
    score = next(row for row in rows if row.check.startswith("task"))
    drop = re.search(r"F1 drop ([^]]+\])", score.figure)
    return (
        record["target"],
        record["scheme"],
        f"{record['bytes'] / 1e6:.1f}",
        f"{outputs.figure} {said(outputs)}",
        f"{drop[1] if drop else '–'} {said(score)}",
        next((row.figure.split(" (")[0] for row in rows if row.check.endswith("flips")), "–"),
        # Core ML and ONNX Runtime have no XNNPACK, and no such row.
        next((row.figure or outcome(row) for row in rows if row.check == "delegation"), "none"),
        "; ".join(f"{row.runtime} {row.version} {outcome(row)}" for row in older(rows)) or "–",
    )


def older(rows: list[CheckInfo]) -> list[CheckInfo]:
    """Return the rows of the runtime matrix, at the longest length."""
    matrix = [row for row in rows if row.check == "runtime"]
    longest = max((row.length or 0 for row in matrix), default=0)
    return [row for row in matrix if row.length == longest]


def said(row: CheckInfo) -> str:
    """Say how a check ended and what kind of evidence it is."""
    return f"{row.status.replace('_', ' ')} ({row.evidence})"


if __name__ == "__main__":
    sys.exit(commands.run(main))
