"""``ondevice build``: arguments in, one table or one JSON document out."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from ondevice import build, card, console, lengths, models, parts, plan
from ondevice.build import Built
from ondevice.commands import _checkpoint
from ondevice.errors import UserError
from ondevice.schemes import SCHEMES
from ondevice.targets import TARGETS
from ondevice.targets.base import DEFAULT_LAYOUT, LAYOUTS
from ondevice.verify.promises import binding_failures


def _default_schemes() -> str:
    """Say what is built where no scheme is named: the usual one, and who has another."""
    common = "fp16"
    others = [
        f"{target.default_scheme} for {target.name}"
        for target in TARGETS.values()
        if target.default_scheme != common
    ]
    return ", ".join([common, *others])


def _offered_schemes() -> str:
    """List every target's schemes."""
    return "; ".join(f"{t.name}: {', '.join(t.schemes)}" for t in TARGETS.values())


def _schemes_with_texts() -> str:
    return ", ".join(name for name, scheme in SCHEMES.items() if scheme.takes_texts)


def _layout_targets() -> str:
    """Name the targets that have another layout than the default one."""
    return ", ".join(name for name, target in TARGETS.items() if len(target.layouts) > 1)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``ondevice build``."""
    parser.add_argument(
        "--target",
        default="coreml",
        metavar="NAME",
        help=f"{', '.join(TARGETS)}, or all; several with commas (default: %(default)s)",
    )
    _checkpoint.add_arguments(parser)
    parser.add_argument(
        "--scheme",
        metavar="NAME",
        help=f"several with commas, of those that the target has: {_offered_schemes()}"
        f" (default: {_default_schemes()})",
    )
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="FILE",
        help=f"with {_schemes_with_texts()}, or --keep auto: texts like those the app will see,"
        " which show how large activations become and what rounding does to them; SQuAD JSON for"
        " qa, else a text a line; no labels needed (default: the project's samples)",
    )
    parser.add_argument(
        "--keep",
        metavar="PART,PART,…",
        help="parts of the encoder to store in 8 bits under a scheme below that, and in floats"
        " under an 8-bit one: embeddings.words, layers.0, 'layers.*.contract', …; or auto:MB, which"
        " keeps those that the scheme hurts most while the artifact stays within MB (auto: a"
        " twentieth more than without); 'ondevice sensitivity' shows them",
    )
    parser.add_argument(
        "--lengths",
        metavar="N,N,…",
        help="sequence lengths that one artifact serves, or auto (default: 384 for qa, else 128)",
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="FILE",
        help="with --lengths auto: texts like those the app will see; SQuAD JSON for qa, else a"
        " text a line",
    )
    parser.add_argument(
        "--buckets",
        type=int,
        metavar="N",
        help=f"with --lengths auto: how many lengths (default: {lengths.DEFAULT_COUNT})",
    )
    parser.add_argument(
        "--trim-vocab",
        metavar="CORPUS",
        help="drop word pieces that a corpus never uses: a text file, a document a line, .gz too; a"
        " directory of them; or SQuAD JSON. Other text then takes more tokens (default: keep all)",
    )
    parser.add_argument(
        "--ios",
        type=int,
        metavar="N",
        help="oldest iOS for Core ML, 15 to 18 (default: 16; 18 for int4, pal4 and several"
        " lengths)",
    )
    parser.add_argument(
        "--layout",
        default=DEFAULT_LAYOUT,
        metavar="NAME",
        help=f"{', '.join(LAYOUTS)}: how activations are arranged; ane is Apple's advice for the"
        f" Neural Engine, for {_layout_targets()} (default: %(default)s)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=plan.DEFAULT_OUT,
        metavar="DIR",
        help="where bundles go (default: %(default)s)",
    )
    parser.add_argument("--force", action="store_true", help="build what is there already, too")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace) -> int:
    """Build, print the outcome, and return the exit code."""
    options = plan.BuildOptions(
        model=arguments.model,
        task=arguments.task,
        targets=_words(arguments.target),
        schemes=None if arguments.scheme is None else _words(arguments.scheme),
        lengths=_lengths(arguments),
        ios=arguments.ios,
        layout=arguments.layout,
        calibration=arguments.calibration,
        keep=() if arguments.keep is None else _words(arguments.keep),
        trim_vocab=arguments.trim_vocab,
        out=arguments.out,
        force=arguments.force,
    )
    results = build.run(options, console.Progress())
    if arguments.json:
        sys.stdout.write(json.dumps([_record(result) for result in results], indent=1) + "\n")
    else:
        sys.stdout.write(_table(results) + "\n")
    failures = [result.failure for result in results if result.failure is not None]
    for failure in failures:
        sys.stderr.write(f"ondevice: {failure}; not published\n")
    # A defect of ours (1) says more than a missed gate (3).
    return min((failure.exit_code for failure in failures), default=0)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(","))


def _lengths(arguments: argparse.Namespace) -> tuple[int, ...] | None:
    text = arguments.lengths
    if text == "auto":
        return _chosen_lengths(arguments)
    if arguments.data is not None or arguments.buckets is not None:
        raise UserError("--data is for --lengths auto, and so is --buckets; give that too")
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise UserError(
            f"--lengths takes whole numbers with commas, for example 128,384, or auto; not '{text}'"
        ) from error


def _chosen_lengths(arguments: argparse.Namespace) -> tuple[int, ...]:
    """Choose lengths from the user's texts, and say which."""
    if arguments.data is None:
        raise UserError("--lengths auto needs --data FILE: texts like those that the app will see")
    count = lengths.DEFAULT_COUNT if arguments.buckets is None else arguments.buckets
    if count < 1:
        raise UserError(f"--buckets must be at least 1, not {count}")
    checkpoint = models.load(arguments.model, arguments.task)
    (longest,) = plan.check_lengths(None, checkpoint)
    choice = lengths.from_data(checkpoint, arguments.data, longest, count)
    sys.stderr.write(
        f"lengths {','.join(map(str, choice.lengths))}: {100 * choice.share:.0f} % of the"
        f" arithmetic of {longest} alone, over {choice.texts} texts of {arguments.data.name}\n"
    )
    return choice.lengths


def _table(results: list[Built]) -> str:
    headers = ("target", "scheme", "MB", "lengths", "needs", "parity", "seconds", "path")
    return console.table(headers, [_row(result) for result in results])


def _row(result: Built) -> tuple[str, ...]:
    size = "–" if result.manifest is None else f"{result.manifest.artifact.bytes / card.MB:.1f}"
    return (
        result.job.target.name,
        f"{result.job.scheme.name}{parts.label(result.job.convert_options.kept)}",
        size,
        ",".join(map(str, result.job.lengths)),
        _needs(result),
        _parity(result),
        "cached" if result.cached else f"{result.seconds:.1f}",
        "not published" if result.failure else str(result.job.place),
    )


def _needs(result: Built) -> str:
    """Name the oldest version of each runtime that is promised; what is missing is not."""
    if result.manifest is None:
        return "–"
    oldest = result.manifest.artifact.min_runtime.items()
    return ", ".join(f"{name} {version}" for name, version in oldest) or "–"


def _parity(result: Built) -> str:
    """Say how parity went, and of a bundle that was there already, what has failed since."""
    if result.failure:
        return "FAILED"
    failed = _failed_since(result)
    since = f"; verify failed: {', '.join(failed)}" if failed else ""
    return _worst_parity(result) + since


def _failed_since(result: Built) -> list[str]:
    """Name the checks that ``ondevice verify`` found failed; a build publishes none such."""
    checks = () if result.manifest is None else result.manifest.checks
    return list(dict.fromkeys(row.check for row in binding_failures(checks)))


def _worst_parity(result: Built) -> str:
    """Return the worst figure over all lengths, and where it comes from."""
    rows = result.parity
    statuses = {row.status for row in rows}
    if "not_run" in statuses:
        return "not run"
    if rows[0].limit.startswith("cosine"):
        worst = min(row.cosine for row in rows if row.cosine is not None)
        return f"passed ({rows[0].evidence}, cosine {worst:.4f})"
    largest = max(row.max_abs for row in rows if row.max_abs is not None)
    return f"passed ({rows[0].evidence}, max abs {largest:.1e})"


def _record(result: Built) -> dict[str, Any]:
    manifest = result.manifest
    return {
        "target": result.job.target.name,
        "scheme": result.job.scheme.name,
        "keep": list(result.job.convert_options.kept),
        "layout": result.job.convert_options.layout,
        "published": manifest is not None,
        "path": str(result.job.place) if manifest is not None else None,
        "cached": result.cached,
        "seconds": round(result.seconds, 3),
        "bytes": manifest.artifact.bytes if manifest is not None else None,
        "lengths": list(result.job.lengths),
        "min_runtime": {} if manifest is None else manifest.artifact.min_runtime,
        "parity": [row.model_dump() for row in result.parity],
        "verify_failed": _failed_since(result),
        "failure": None if result.failure is None else str(result.failure),
    }
