"""Small learnable question-answering data, and a tiny teacher."""

from __future__ import annotations

import gzip
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ondevice.tokenizer import read_tokenizer

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


@pytest.fixture(scope="session")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a directory with a plain and a packed file."""
    folder = tmp_path_factory.mktemp("corpus")
    words = "the river is old and the sea is a long way north of the city".split()
    draw = np.random.default_rng(0)
    lines = [" ".join(draw.choice(words, int(draw.integers(9, 60)))) for _ in range(60)]
    (folder / "a.txt").write_text("\n\n".join(lines[:30]), encoding="utf-8")
    (folder / "deeper").mkdir()
    with gzip.open(folder / "deeper" / "b.txt.gz", "wt", encoding="utf-8") as stream:
        stream.write("\n".join(lines[30:]))
    return folder


@pytest.fixture(scope="session")
def lm_teacher(tmp_path_factory: pytest.TempPathFactory, tiny: Callable[[str, str], Path]) -> Path:
    """Save a tiny BERT with a masked-LM head beside the tiny tokenizer."""
    folder = tmp_path_factory.mktemp("lm")
    for name in ("vocab.txt", "tokenizer_config.json"):
        (folder / name).write_bytes((tiny("bert", "embed") / name).read_bytes())
    import torch
    import transformers

    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=read_tokenizer(folder).size,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    model = transformers.BertForMaskedLM(config)
    with torch.no_grad():  # at the library's std of 0.02 every token would look alike
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    model.save_pretrained(folder)
    return folder


def run_twice(arguments: list[str]) -> list[subprocess.CompletedProcess[str]]:
    """Run python with these arguments in two processes that find each other, as torchrun would."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    base = {
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "GLOO_SOCKET_IFNAME": "lo",
    }
    processes = [
        subprocess.Popen(
            [sys.executable, *arguments],
            env=os.environ | base | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        said = [process.communicate(timeout=300) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [
        subprocess.CompletedProcess(process.args, process.returncode, out, error)
        for process, (out, error) in zip(processes, said, strict=True)
    ]
