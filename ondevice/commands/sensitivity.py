"""``ondevice sensitivity``: which parts of a model a scheme hurts, and what keeping them costs."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from ondevice import calibration, console, keeping, models, plan
from ondevice.commands import _checkpoint
from ondevice.errors import UserError, choices, require
from ondevice.keeping import MB, Keeper, Measurement
from ondevice.schemes import SCHEMES, check_offered, get_scheme
from ondevice.targets import TARGETS

DEFAULT_SCHEME = "int4"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``ondevice sensitivity``."""
    parser.add_argument(
        "--target",
        default="coreml",
        metavar="NAME",
        help=f"whose way of storing weights: {', '.join(TARGETS)} (default: %(default)s)",
    )
    parser.add_argument(
        "--scheme",
        default=DEFAULT_SCHEME,
        metavar="NAME",
        help=f"of those that the target has: {', '.join(_measurable())} (default: %(default)s)",
    )
    _checkpoint.add_arguments(parser)
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="FILE",
        help="texts to compare outputs on: SQuAD JSON for qa, else a text a line; no labels needed"
        " (default: the project's samples)",
    )
    parser.add_argument(
        "--max-mb",
        type=float,
        metavar="MB",
        help="also say which parts to keep so that the artifact stays within MB",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace) -> int:
    """Measure, print, and return the exit code."""
    if arguments.target not in TARGETS:
        raise UserError(choices("target", arguments.target, TARGETS))
    target, scheme = TARGETS[arguments.target], get_scheme(arguments.scheme)
    check_offered(scheme.name, target.name, target.schemes)
    if scheme.name not in _measurable():
        raise UserError(
            f"what '{scheme.name}' loses is not in how it rounds weights, which is what is"
            f" measured; type --scheme with one of: {', '.join(_measurable())}"
        )
    if arguments.max_mb is not None and not 0 < arguments.max_mb < float("inf"):
        raise UserError(f"--max-mb must be above 0, not {arguments.max_mb:g}")
    checkpoint = models.load(arguments.model, arguments.task)
    texts = None
    if arguments.calibration is not None:
        texts = calibration.from_file(checkpoint, arguments.calibration)
    lengths = plan.check_lengths(None, checkpoint)
    budget = None if arguments.max_mb is None else int(arguments.max_mb * MB)
    if budget is not None:
        found = keeping.estimate(checkpoint, target, scheme, lengths)
        keeping.check_budget(budget, found, "--max-mb ")
    # Parts are rounded in PyTorch.
    require("torch", extra="checkpoint")
    measured = Keeper(checkpoint, (keeping.AUTO,), texts).measure(target, scheme, lengths)
    kept = None if budget is None else measured.choose(keeping.Budget(budget))
    if arguments.json:
        texts = texts or calibration.from_samples(checkpoint)
        what = {
            "target": target.name,
            "scheme": scheme.name,
            "model": checkpoint.name,
            "model_sha256": checkpoint.sha256,
            "texts": {"name": texts.source, "sha256": texts.sha256, "count": len(texts.examples)},
        }
        sys.stdout.write(json.dumps(what | _record(measured, kept), indent=1) + "\n")
    else:
        title = f"{checkpoint.name}, {target.name} {scheme.name}:"
        sys.stdout.write(f"{title}\n\n{_table(measured)}\n\n{_summary(measured)}\n")
    if kept is not None and not arguments.json:
        sys.stdout.write(_advice(measured, kept) + "\n")
    return 0


def _measurable() -> list[str]:
    """Return the schemes whose loss is in how they round weights."""
    return [name for name, scheme in SCHEMES.items() if keeping.is_measurable(scheme)]


def _table(measured: Measurement) -> str:
    headers = ("part", "weights", "MB", "kept adds MB", "error", "share", "error per MB")
    parts = {part.name: part for part in measured.parts}
    total = sum(one.error for one in measured.ranking.parts)
    rows = []
    for one in measured.ranking.parts:
        part = parts[one.name]
        rows.append(
            (
                one.name,
                f"{part.rows} × {part.columns}",
                f"{part.bytes / MB:.2f}",
                f"{part.added / MB:.2f}" if part.added else "–",
                f"{one.error:.5f}",
                f"{100 * one.error / total:.1f} %" if total else "–",
                f"{one.error / part.added * MB:.4f}" if part.added else "–",
            )
        )
    return console.table(headers, rows)


def _summary(measured: Measurement) -> str:
    layers = ", ".join(f"{one.name} {one.error:.4f}" for one in measured.ranking.layers)
    return (
        f"whole layers: {layers}; everything: {measured.ranking.everything.error:.4f};"
        f" about {measured.size / MB:.2f} MB with nothing kept"
    )


def _advice(measured: Measurement, kept: tuple[str, ...]) -> str:
    if not kept:
        return "no part fits beside the rest"
    added = sum(part.added for part in measured.parts if part.name in kept)
    return f"about {(measured.size + added) / MB:.2f} MB with --keep {','.join(kept)}"


def _record(measured: Measurement, kept: tuple[str, ...] | None) -> dict[str, Any]:
    parts = {part.name: part for part in measured.parts}
    record: dict[str, Any] = {
        "bytes": measured.size,
        "error": measured.ranking.everything.error,
        "parts": [
            {
                "name": one.name,
                "rows": parts[one.name].rows,
                "columns": parts[one.name].columns,
                "bytes": parts[one.name].bytes,
                "added": parts[one.name].added,
                "error": one.error,
            }
            for one in measured.ranking.parts
        ],
        "layers": [{"name": one.name, "error": one.error} for one in measured.ranking.layers],
    }
    return record if kept is None else record | {"keep": list(kept)}
