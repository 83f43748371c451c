"""What several lengths in one artifact cost: its size with 64, 128, 256, 384 against 384 alone.

    python benchmarks/lengths.py [--model student] [--targets coreml,tflite,executorch,onnx] [--add]

Prints a table and writes ``benchmarks/results/lengths.json``, after each target; ``--add`` keeps
the targets there that are not named. Sizes only: nothing is timed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from operator import itemgetter
from pathlib import Path
from typing import Any

import commands
import machine

from ondevice import build, console, models
from ondevice.plan import BuildOptions
from ondevice.targets import TARGETS

ONE = (384,)
FOUR = (64, 128, 256, 384)
SCHEMES = ("fp32", "fp16", "int8")
RESULTS = Path(__file__).parent / "results" / "lengths.json"


def measure(model: str, target: str, lengths: tuple[int, ...], out: Path) -> dict[str, int]:
    """Build every scheme; return the artifacts' bytes, 0 where one missed its parity limit."""
    options = BuildOptions(
        model=model, targets=(target,), schemes=SCHEMES, lengths=lengths, out=out, force=True
    )
    results = build.run(options, console.Progress())
    return {
        result.job.scheme.name: result.manifest.artifact.bytes if result.manifest else 0
        for result in results
    }


def main() -> int:
    """Build everything, print the table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default=models.DEFAULT_MODEL)
    parser.add_argument("--targets", default=",".join(TARGETS))
    parser.add_argument("--add", action="store_true", help="keep the other targets of --out")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    targets = commands.words(arguments.targets, "target", tuple(TARGETS))
    described = machine.describe()
    same = {
        "model": arguments.model,
        "model_sha256": models.load(arguments.model).sha256,
        "one": list(ONE),
        "four": list(FOUR),
    }
    earlier = commands.read_earlier(arguments.out, described, same) if arguments.add else None
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as directory:
        for target in targets:
            one = measure(arguments.model, target, ONE, Path(directory))
            four = measure(arguments.model, target, FOUR, Path(directory))
            found += [
                {"target": target, "scheme": scheme, "one": one[scheme], "four": four[scheme]}
                for scheme in SCHEMES
            ]
            sizes = commands.kept(earlier, "sizes", found, itemgetter("target", "scheme"))
            commands.write(arguments.out, {"machine": described, **same, "sizes": sizes})
    headers = ("target", "scheme", "MB at 384", "MB at 64-384", "growth %")
    print(console.table(headers, [_cells(row) for row in sizes]))
    return 0


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    one, four = row["one"], row["four"]
    growth = f"{100 * (four / one - 1):.1f}" if one and four else "not published"
    return (row["target"], row["scheme"], f"{one / 1e6:.2f}", f"{four / 1e6:.2f}", growth)


if __name__ == "__main__":
    sys.exit(commands.run(main))
