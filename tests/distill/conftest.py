"""Small learnable question-answering data, and a tiny teacher."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

NAMES = ["river", "mountain", "sea", "sun", "moon", "earth", "star", "animal", "tree", "bird"]
PLACES = ["north", "south", "east", "west"]


def squad_document(count: int, seed: int = 0) -> dict[str, Any]:
    """Make contexts as "the river is north . the moon is east" and ask "where is the moon"."""
    draw = np.random.default_rng(seed)
    paragraphs = []
    for number in range(count):
        names = list(draw.permutation(NAMES)[:3])
        places = [str(draw.choice(PLACES)) for _ in names]
        context = " . ".join(f"the {n} is {p}" for n, p in zip(names, places, strict=True))
        which = int(draw.integers(3))
        start = context.index(f"{names[which]} is ") + len(names[which]) + 4
        answer = {"text": places[which], "answer_start": start}
        question = {"id": f"q{seed}-{number}", "question": f"where is the {names[which]}"}
        paragraphs.append({"context": context, "qas": [question | {"answers": [answer]}]})
    return {"version": "1.1", "data": [{"title": "t", "paragraphs": paragraphs}]}


@pytest.fixture(scope="session")
def squad(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function from (count, seed) to a SQuAD file."""
    root = tmp_path_factory.mktemp("squad")

    def write(count: int, seed: int = 0) -> Path:
        path = root / f"squad-{count}-{seed}.json"
        path.write_text(json.dumps(squad_document(count, seed)), encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def teacher(tiny: Callable[[str, str], Path]) -> Path:
    """Return a tiny BERT with a question-answering head."""
    return tiny("bert", "qa")
