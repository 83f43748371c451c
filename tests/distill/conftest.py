"""Small learnable question-answering data, and a tiny teacher."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ANSWERS = {
    "where": ["north", "south", "east", "west"],
    "when": ["1", "2", "3", "4"],
    "how": ["old", "young", "long", "short"],
}
NAMES = ["river", "mountain", "sea", "sun", "moon", "earth", "star", "animal", "tree", "bird"]


def squad_document(count: int, seed: int = 0) -> dict[str, Any]:
    """Make contexts as "the river is old . the moon is north . the sea is 4" and ask "where"."""
    draw = np.random.default_rng(seed)
    paragraphs = []
    for number in range(count):
        asked = [str(word) for word in draw.permutation(list(ANSWERS))]
        facts = [str(draw.choice(ANSWERS[word])) for word in asked]
        names = draw.permutation(NAMES)[: len(facts)]
        parts = [f"the {name} is {fact}" for name, fact in zip(names, facts, strict=True)]
        which = int(draw.integers(len(facts)))
        start = len(" . ".join(parts[: which + 1])) - len(facts[which])
        answer = {"text": facts[which], "answer_start": start}
        question = {"id": f"q{seed}-{number}", "question": asked[which], "answers": [answer]}
        paragraphs.append({"context": " . ".join(parts), "qas": [question]})
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
