"""What several lengths in one artifact cost: its size with 64, 128, 256, 384 against 384 alone.

    python benchmarks/lengths.py [--model student] [--targets coreml,tflite,executorch,onnx]

Prints a table and writes ``benchmarks/results/lengths.json``. Sizes only: nothing is timed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import machine

from ondevice import build, console
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


def main() -> None:
    """Build everything, print the table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="student")
    parser.add_argument("--targets", default=",".join(TARGETS))
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as directory:
        for target in arguments.targets.split(","):
            one = measure(arguments.model, target, ONE, Path(directory))
            four = measure(arguments.model, target, FOUR, Path(directory))
            rows += [
                {"target": target, "scheme": scheme, "one": one[scheme], "four": four[scheme]}
                for scheme in SCHEMES
            ]
            print(f"{target} done", file=sys.stderr)
    RESULTS.parent.mkdir(exist_ok=True)
    document = {"model": arguments.model, "one": ONE, "four": FOUR, "machine": machine.describe()}
    RESULTS.write_text(json.dumps({**document, "sizes": rows}, indent=1) + "\n", encoding="utf-8")
    headers = ("target", "scheme", "MB at 384", "MB at 64-384", "growth %")
    print(console.table(headers, [_cells(row) for row in rows]))


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    one, four = row["one"], row["four"]
    growth = f"{100 * (four / one - 1):.1f}" if one and four else "not published"
    return (row["target"], row["scheme"], f"{one / 1e6:.2f}", f"{four / 1e6:.2f}", growth)


if __name__ == "__main__":
    main()
