"""How long a search takes from nothing: every scheme of every target, as it is and with parts kept.

    python benchmarks/search_time.py --data FILE [-- --target all --max-mb 12 --max-f1-drop 1]

Runs ``ondevice search`` with the options behind ``--`` (without any: those above) in a fresh
process, into an empty directory and with an empty cache, prints its table and how long it took, and
writes ``benchmarks/results/search.json``: the seconds, how many candidates there were, how many of
them were built and asked, and all that the search itself wrote down. Its pictures go beside it
(``--pictures``).
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

OPTIONS = ["--target", "all", "--max-mb", "12", "--max-f1-drop", "1"]
RESULTS = Path(__file__).parent / "results" / "search.json"


def main() -> int:
    """Search, print and write; return the search's exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="SQuAD JSON")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument(
        "--pictures",
        type=Path,
        help="their directory (default: beside --results)",
    )
    parser.add_argument("options", nargs="*", help=f"of the search (default: {' '.join(OPTIONS)})")
    arguments = parser.parse_args()
    if not arguments.data.is_file():
        raise UserError(f"no file '{arguments.data}'; --data takes questions as SQuAD has them")
    words = arguments.options or OPTIONS
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory, "search")
        # What a scheme does to each part of a model is kept there, and found again by others.
        os.environ[CACHE_VARIABLE] = str(Path(directory, "cache"))
        ended = search([*words, "--data", str(arguments.data)], out)
        # Paths as they would be in a search of one's own.
        text = (out / RESULT_FILE).read_text("utf-8").replace(f"{directory}/", "")
        found = json.loads(text)
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


def search(words: Sequence[str], out: Path) -> processes.Ended:
    """Run one search into an empty directory; what it says meanwhile is not shown.

    Raises:
        UserError: it refuses what was asked for, or breaks.
    """
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
