"""Write the sample bundle of the Swift tests from Python's own tokenizer, windows and decode.

    python mobile_demo/ios/QACore/Tests/write_samples.py [--check]

Its model is two formulas that the tests repeat, so that goldens of whole answers need no runtime.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ondevice import goldens
from ondevice.golden_records import AnswerRecord, Record, RunRecord, Span
from ondevice.inference import answer
from ondevice.manifest import (
    ArtifactInfo,
    FileInfo,
    Manifest,
    ModelInfo,
    TensorInfo,
    TokenizerInfo,
    WindowInfo,
)
from ondevice.tasks import features
from ondevice.tokenizer import TextTokenizer, read_tokenizer

PLACE = Path(__file__).parent / "QACoreTests/Samples/bundle"
LENGTHS = (16, 32)
WINDOW = WindowInfo(max_length=32, doc_stride=8, max_query=10, max_answer=8, n_best=5)
WORDS = """the a in of and to is was where when who did river begin end ended city rome monday
met left long named born bridge built over water tower high metre emoji control cafe form
##s ##ed ##ing ##er ##y ##e ##o ##n ##a ##ion sa pau dvo ##lo ##rak 19 20 ##00 ##50 strass"""
CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,;:?!'\"()-+$%€東京日本σοδυεςß"
PASSAGE = (
    "The bridge over the river was built in 1950 and named the long bridge. The tower of the"
    " city, São Paulo, was ended in 2000; 東京 is a city, too. Ada met Bob in Rome on Monday 😀"
    " and left the cafe\u0301 when the water was high."
)
QUESTIONS = (
    ("When was the bridge built?", PASSAGE),
    ("Who left?", "Ada met Bob in Rome, and left."),
    ("Where did Ada meet Bob 😀 when the water was high and the river long?", PASSAGE),
)
ERRORS = (("When?", ""), ("When?", " \n\u00a0\u0007"), ("", PASSAGE))


def vocabulary() -> list[str]:
    """Return word pieces: special tokens, characters at a word's beginning and inside, words."""
    inside = [f"##{character}" for character in CHARACTERS]
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    return list(dict.fromkeys([*specials, *CHARACTERS, *inside, *WORDS.split()]))


def run(inputs: dict[str, NDArray[np.int32]]) -> dict[str, NDArray[np.float32]]:
    """Return logits by formula: eighths, so that each sum is exact in float32."""
    ids = inputs["input_ids"].astype(np.int64)
    places = np.arange(ids.shape[1])[None, :]
    start = (ids * 7919 + places * 104729) % 97
    end = (ids * 31 + places * 1543) % 89
    return {"start": (start / 8).astype(np.float32), "end": (end / 8).astype(np.float32)}


def records(tokenizer: TextTokenizer) -> Iterator[Record]:
    """Yield goldens of every kind."""
    yield from goldens.tokenize_records(tokenizer)
    for question, context in (*QUESTIONS, *ERRORS):
        yield goldens.window_record(tokenizer, question, context, WINDOW)
    yield from goldens.decode_records()
    for length in LENGTHS:
        row = features.encode(tokenizer.tokenizer, *QUESTIONS[1], length)
        inputs = features.pad([row], length, tokenizer.pad_id)
        valid = len(row[0])
        yield RunRecord(
            length=length,
            valid=valid,
            inputs={name: tuple(values[0].tolist()) for name, values in inputs.items()},
            outputs={
                role: (tuple(values[0, :valid].tolist()),) for role, values in run(inputs).items()
            },
            max_abs=1e-4,
            min_cosine=None,
        )
    for question, context in QUESTIONS:
        yield answer_record(tokenizer, question, context)


def answer_record(tokenizer: TextTokenizer, question: str, context: str) -> AnswerRecord:
    """Return a question with the answer that the formulas come to."""
    options = goldens.options_for(WINDOW)
    reply = answer(run, tokenizer, question, context, options=options, lengths=LENGTHS)
    best, second = reply.answers[:2]
    places = goldens.utf16_places(context)
    return AnswerRecord(
        question=question,
        context=context,
        options=WINDOW,
        windows=len(reply.lengths),
        answer=Span(
            text=best.text,
            start=best.start,
            end=best.end,
            score=best.score,
            probability=round(best.probability, goldens.DECIMALS),
        ),
        utf16=(places[best.start], places[best.end]),
        margin=best.score - second.score,
        decisive=best.score - second.score > 4e-4,
    )


def files() -> dict[str, bytes]:
    """Return the sample bundle's files by name."""
    found = {
        "vocab.txt": "".join(f"{token}\n" for token in vocabulary()).encode(),
        "model.bin": b"two formulas\n",
    }
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "vocab.txt").write_bytes(found["vocab.txt"])
        tokenizer = read_tokenizer(Path(place))
    lines = [goldens.line(record) + "\n" for record in records(tokenizer)]
    found["golden.jsonl"] = "".join(lines).encode()
    return found | {"manifest.json": manifest(found)}


def manifest(found: dict[str, bytes]) -> bytes:
    """Return the manifest over the other files."""
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in found.items()}
    inputs = ("input_ids", "attention_mask", "token_type_ids")
    document = Manifest(
        schema_version=1,
        model=ModelInfo(
            name="formulas",
            source="sample",
            architecture="bert",
            sha256="0" * 64,
            params=1,
            licence="Apache-2.0",
        ),
        task="qa",
        tokenizer=TokenizerInfo(
            kind="wordpiece",
            file="vocab.txt",
            sha256=hashes["vocab.txt"],
            lowercase=True,
            strip_accents=True,
            pad_id=0,
        ),
        window=WINDOW,
        artifact=ArtifactInfo(
            target="sample",
            scheme="fp32",
            file="model.bin",
            sha256=hashes["model.bin"],
            bytes=len(found["model.bin"]),
            inputs=tuple(
                TensorInfo(name=name, role=name, dtype="int32", shape=(1, "L")) for name in inputs
            ),
            outputs=tuple(
                TensorInfo(name=f"{role}_logits", role=role, dtype="float32", shape=(1, "L"))
                for role in ("start", "end")
            ),
            lengths=LENGTHS,
            min_runtime={},
        ),
        parity=(),
        tools={},
        created="2026-01-01T00:00:00Z",
        options={},
        content_key="0" * 64,
        files={
            name: FileInfo(sha256=hashes[name], bytes=len(content))
            for name, content in sorted(found.items())
        },
    )
    return (document.model_dump_json(indent=1) + "\n").encode()


def main() -> int:
    """Write the files, or with --check say whether they are as they should be (exit code 1)."""
    stale = {
        name: content
        for name, content in files().items()
        if not (PLACE / name).is_file() or (PLACE / name).read_bytes() != content
    }
    if "--check" in sys.argv[1:]:
        return int(bool(stale))
    PLACE.mkdir(parents=True, exist_ok=True)
    for name, content in stale.items():
        (PLACE / name).write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
