"""How long a search takes from nothing: every scheme of every target, as it is and with parts kept.

    python benchmarks/search_time.py --data FILE [--model student] [--target all]
        [--max-mb 20] [--max-f1-drop 1]

Runs ``ondevice search`` in a fresh process, into an empty directory and with an empty cache, prints
its table and how long it took, and writes ``benchmarks/results/search.json``: the seconds, how many
candidates there were, how many of them were built and asked, and all that the search itself wrote
down. Its pictures go beside it (``--pictures``).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import commands
import machine
import processes

from ondevice.caching import CACHE_VARIABLE
from ondevice.commands.search import RESULT_FILE
from ondevice.errors import UserError

RESULTS = Path(__file__).parent / "results" / "search.json"


def main() -> int:
    """Search, print and write; return the search's exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="SQuAD JSON")
    parser.add_argument("--model", default="student")
    parser.add_argument("--target", default="all")
    parser.add_argument("--max-mb", default="20")
    parser.add_argument("--max-f1-drop", default="1")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument(
        "--pictures",
        type=Path,
        help="their directory (default: beside --results)",
    )
    arguments = parser.parse_args()
    words = ["--target", arguments.target, "--model", arguments.model]
    words += ["--max-mb", arguments.max_mb, "--max-f1-drop", arguments.max_f1_drop]
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory, "search")
        ended = search([*words, "--data", str(arguments.data)], out, Path(directory, "cache"))
        found = json.loads((out / RESULT_FILE).read_text("utf-8"))
        pictures = arguments.pictures or arguments.results.parent / "search"
        pictures.mkdir(parents=True, exist_ok=True)
        for name in found["plots"]:
            shutil.copyfile(out / name, pictures / name)
    counts = count(found["candidates"])
    commands.write(
        arguments.results,
        {
            "machine": machine.describe(),
            "command": ["ondevice", "search", *words, "--data", arguments.data.name],
            "seconds": round(ended.seconds, 1),
            "cpu_seconds": round(ended.cpu_seconds, 1),
            "peak_bytes": ended.peak_bytes,
            **counts,
            "search": found,
        },
    )
    print(ended.stdout.replace(f"{directory}/", ""))
    print(
        f"{counts['candidates']} candidates, of which {counts['built']} were built and"
        f" {counts['asked']} asked, in {ended.seconds / 60:.1f} minutes"
        f" ({ended.cpu_seconds / 60:.1f} of CPU)"
    )
    return ended.code


def search(words: Sequence[str], out: Path, cache: Path) -> processes.Ended:
    """Run one search into an empty directory; what it says meanwhile is not shown.

    Raises:
        UserError: it refuses what was asked for, or breaks.
    """
    # What parts of a model a scheme hurts is found again there by later searches.
    os.environ[CACHE_VARIABLE] = str(cache)
    ended = processes.run([sys.executable, "-m", "ondevice.search", *words, "--out", str(out)])
    if ended.code not in commands.FINDINGS:
        raise UserError(f"the search: {ended.reason}")
    return ended


def count(candidates: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return how many candidates there were, were built, were asked, and how each left."""
    return {
        "candidates": len(candidates),
        "built": sum(one["bytes"] is not None for one in candidates),
        "asked": sum(one["figures"] is not None for one in candidates),
        "outcomes": dict(Counter(one["outcome"] for one in candidates)),
    }


if __name__ == "__main__":
    sys.exit(commands.run(main))
