"""One real search over tiny checkpoints on two runtimes, with converters that break."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ondevice.bench import protocol
from ondevice.search import SearchOptions, pipeline
from ondevice.search.pipeline import Found
from tests.requirements import need
from tests.search.made import quiet

# The real worker, but for two converters: one ends its process, one raises.
BROKEN = """
import dataclasses, os, sys
from ondevice.search import _worker
from ondevice.targets import TARGETS

def broken(target):
    def finish(graph, lowered, options, path):
        if (target.name, options.scheme) == ("tflite", "fp32"):
            os.abort()
        if options.scheme == "int4":
            raise ValueError("no lowering for aten.foo")
        return target.finish(graph, lowered, options, path)
    return dataclasses.replace(target, finish=finish)

for name in ("onnx", "tflite"):
    TARGETS[name] = broken(TARGETS[name])
_worker.main(int(sys.argv[1]))
"""
# Any use of a worker is an error: what was found must be on disk.
FORBIDDEN = ("-c", "raise SystemExit('nothing was to be run')")
PLACES = ("north", "south", "east", "west")
THINGS = ("river", "mountain", "city", "island", "capital", "sea", "tree", "plant", "king", "star")


def write_questions(path: Path) -> Path:
    """Write 40 questions of one short window each, in SQuAD's layout."""
    paragraphs = []
    for thing in THINGS:
        for place in PLACES:
            context = f"the {thing} is in the {place} of the country"
            # The whole context: what random weights answer is always partly right.
            answer = {"text": context, "answer_start": 0}
            asked = {"id": f"{thing}-{place}", "question": f"where is the {thing}?"}
            paragraphs.append({"context": context, "qas": [asked | {"answers": [answer]}]})
    path.write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}), encoding="utf-8")
    return path


@dataclass(frozen=True)
class Searched:
    """A search and what it found; `options` makes the same options with changes."""

    found: Found
    options: Callable[..., SearchOptions]
    broken: tuple[str, ...]


@pytest.fixture(scope="session")
def searched(
    tiny: Callable[[str, str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Searched:
    """Return a search over onnx and tflite that was run once."""
    need("onnx")
    need("tflite")
    root = tmp_path_factory.mktemp("search")
    data = write_questions(root / "questions.json")

    def options(**changes: Any) -> SearchOptions:
        chosen = {
            "models": (str(tiny("bert", "qa")),),
            "targets": ("onnx", "tflite"),
            "schemes": ("fp32", "int8", "int4"),
            "lengths": ((32,),),
            # Itself, since whose answers are known already need not be asked.
            "teacher": str(tiny("bert", "qa")),
            "data": data,
            "keep": "none",
            "out": root / "out",
        }
        return SearchOptions(**{**chosen, **changes})

    script = root / "broken.py"
    script.write_text(BROKEN, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        # Five fresh processes for each bundle are bench's own tests' business.
        patch.setattr(protocol, "COLD_LOADS", 1)
        found = pipeline.run(options(), quiet(), (str(script),))
    return Searched(found, options, (str(script),))
