"""The evidence for an embedded model over all targets and schemes, as one table.

    python benchmarks/evidence.py [--model student] [--targets coreml,tflite,executorch,onnx]
        [--eval FILE] [--examples N] [--add]

Builds every bundle that is not built yet, verifies each (files, goldens, task gate, older
runtimes in environments of their own, file format, delegation), prints a table, and writes every
row of it to ``benchmarks/results/evidence.json``, after each bundle, so that a call that is broken
off can be gone on with: ``--add`` keeps what is there of targets that are not named, if it is of
the same weights, questions, machine and versions; without it the result there is replaced. Nothing
is timed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any

import commands
import machine

from ondevice import build, console, models
from ondevice.bundle import hash_file
from ondevice.errors import UserError
from ondevice.manifest import CheckInfo, Manifest
from ondevice.plan import DEFAULT_OUT, BuildOptions
from ondevice.targets import TARGETS
from ondevice.verify import check
from ondevice.verify.pip_runtimes import RUNTIMES, installed, parse_version
from ondevice.verify.promises import outcome

RESULTS = Path(__file__).parent / "results" / "evidence.json"
HEADERS = ("target", "scheme", "MB", "goldens", "task gate", "delegated", "runtimes")


def main() -> int:
    """Build, verify and print; return 3 if a check failed, as ``ondevice verify`` does."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default=models.DEFAULT_MODEL)
    parser.add_argument("--targets", default=",".join(TARGETS))
    parser.add_argument("--eval", type=Path, help="SQuAD JSON (default: the samples)")
    parser.add_argument(
        "--examples", type=commands.whole("--examples"), help="of the task gate (default: verify's)"
    )
    parser.add_argument("--add", action="store_true", help="keep the other results of --results")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT)
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    targets = commands.words(arguments.targets, "target", tuple(TARGETS))
    if arguments.eval is not None and not arguments.eval.is_file():
        raise UserError(f"no file '{arguments.eval}'; --eval takes questions as SQuAD has them")
    described = machine.describe()
    same = {
        "model": arguments.model,
        # Of the checkpoint's weights: figures of another one are not these.
        "model_sha256": models.load(arguments.model).sha256,
        "examples": arguments.examples,
        "data": None if arguments.eval is None else hash_file(arguments.eval),
    }
    earlier = commands.read_earlier(arguments.results, described, same) if arguments.add else None
    found: list[Mapping[str, Any]] = []
    for target in targets:
        made = build_all(arguments.model, target, arguments.out)
        runtimes = runtimes_of(target, [one.manifest for one in made if one.manifest is not None])
        for one in made:
            # Bundles that an earlier call verified keep the time of theirs.
            found.append({"measured": machine.now(), **verify(one, runtimes, arguments)})
            merged = commands.kept(earlier, "bundles", found, itemgetter("target", "scheme"))
            document = {"machine": described, **same, "bundles": in_order(merged)}
            commands.write(arguments.results, document)
    print(console.table(HEADERS, [row_of(record) for record in document["bundles"]]))
    rows = [row for record in document["bundles"] for row in record["checks"]]
    # What an older runtime refuses is a finding of this table, not a fault.
    failed = any(row["status"] == "failed" and row["check"] != "runtime" for row in rows)
    return 3 if failed else 0


def in_order(bundles: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return bundles in the order of the targets and their schemes, whichever came last."""
    order = [(name, scheme) for name, target in TARGETS.items() for scheme in target.schemes]
    return sorted(bundles, key=lambda one: order.index((one["target"], one["scheme"])))


def build_all(model: str, target: str, out: Path) -> list[build.Built]:
    """Build a target's every scheme."""
    options = BuildOptions(model=model, targets=(target,), schemes=TARGETS[target].schemes, out=out)
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
    return (
        record["target"],
        record["scheme"],
        f"{record['bytes'] / 1e6:.1f}",
        f"{outputs.figure} {said(outputs)}",
        # How many points of F1 each loses is asked with more questions by `schemes.py`.
        said(score),
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
