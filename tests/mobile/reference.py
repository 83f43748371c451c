"""What Python answers to the requests of mobile_demo/contract/qacore.md."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer
from tokenizers.implementations import BertWordPieceTokenizer

from ondevice import goldens
from ondevice.errors import DataError, UserError
from ondevice.golden_records import DecodeRecord
from ondevice.tasks import qa
from ondevice.tasks.qa import QAOptions

TOLERANCE = 1e-5


class Reference:
    """Python's side, over a vocabulary of one word piece a line."""

    def __init__(self, vocabulary: Path, *, lowercase: bool = True, strip_accents: bool = True):
        pieces = vocabulary.read_bytes().decode().removesuffix("\n").split("\n")
        self.vocabulary = {piece: number for number, piece in enumerate(pieces)}
        wordpiece = BertWordPieceTokenizer(
            self.vocabulary, lowercase=lowercase, strip_accents=strip_accents
        )
        self.tokenizer: Tokenizer = wordpiece._tokenizer

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to a request that this side knows."""
        known = {
            "tokenize": self.tokenize,
            "windows": self.windows,
            "decode": decode,
            "statistics": statistics,
        }
        return known[request["op"]](request)

    def tokenize(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return ids and places."""
        text = readable(request["text"])
        encoded = self.tokenizer.encode(text, add_special_tokens=False)
        return {
            "ids": encoded.ids,
            "offsets": [list(place) for place in encoded.offsets],
            "utf16_offsets": utf16(goldens.utf16_places(text), encoded.offsets),
        }

    def windows(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the windows over a pair, or the error that it is."""
        question, context = readable(request["question"]), readable(request["context"])
        try:
            options = QAOptions(**request["options"])
            cut = qa.windows(self.tokenizer, question, context, options)
        except DataError as error:
            return {"error": "empty_question" if "question" in str(error) else "empty_context"}
        except UserError:
            return {"error": "bad_request"}
        places = goldens.utf16_places(context)
        return {"windows": [_window(window, places) for window in cut]}


def _window(window: qa.Window, places: list[int]) -> dict[str, Any]:
    offsets = window.offsets.tolist()
    return {
        "input_ids": window.input_ids.tolist(),
        "token_type_ids": window.token_type_ids.tolist(),
        "offsets": offsets,
        "utf16_offsets": utf16(places, offsets),
        "context": [window.context_start, window.context_end],
        "max_context": window.max_context.astype(int).tolist(),
    }


def decode(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the chosen spans."""
    record = DecodeRecord.model_validate(
        {
            "name": "",
            "context": readable(request["context"]),
            "options": request["options"],
            "windows": request["windows"],
            "answers": [],
        },
        strict=False,
    )
    try:
        QAOptions(**request["options"])
        found = goldens.choose(record)
    except DataError:
        return {"error": "not_finite"}
    except UserError:
        return {"error": "bad_request"}
    keys = ("text", "start", "end", "score", "probability")
    return {"answers": [{key: getattr(answer, key) for key in keys} for answer in found]}


def statistics(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a result says about its samples."""
    samples = np.asarray(request["samples"], dtype=np.float64)
    if not samples.size:
        return {"error": "bad_request"}
    median, p90, p99 = np.percentile(samples, (50, 90, 99)).tolist()
    return {
        "count": samples.size,
        "mean": float(samples.mean()),
        "min": float(samples.min()),
        "max": float(samples.max()),
        "median": median,
        "p90": p90,
        "p99": p99,
    }


def readable(text: str) -> str:
    """Return a text with U+FFFD for each surrogate that has no partner."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def paired(text: str) -> str:
    """Return a text whose neighbouring surrogates are one code point, as JSON's reader makes it."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def utf16(places: list[int], offsets: Any) -> list[list[int]]:
    """Return ranges of code points as ranges of UTF-16 units, given each code point's place."""
    return [[places[start], places[end]] for start, end in offsets]


def difference(got: Any, wanted: Any, where: str = "answer") -> str | None:
    """Say where two answers differ, None where they do not.

    A score is a sum in float32 and must be the same; a probability may differ by 1e-5, another
    number with a fraction by one in 10^9; everything else must be the same. Of an error only the
    kind counts, but it must come with a sentence.
    """
    if isinstance(wanted, dict):
        if "error" in wanted and isinstance(got, dict) and got.get("message"):
            got = {key: value for key, value in got.items() if key != "message"}
        if not isinstance(got, dict) or set(got) != set(wanted):
            return f"{where}: {_short(got)} instead of {_short(wanted)}"
        pairs = [(f"{where}.{key}", got[key], wanted[key]) for key in wanted]
    elif isinstance(wanted, list):
        if not isinstance(got, list) or len(got) != len(wanted):
            return f"{where}: {_short(got)} instead of {_short(wanted)}"
        if got == wanted:
            return None
        pairs = [(f"{where}[{i}]", *both) for i, both in enumerate(zip(got, wanted, strict=True))]
    elif isinstance(wanted, float):
        near = isinstance(got, (int, float)) and _near(got, wanted, where)
        return None if near else f"{where}: {got!r} instead of {wanted!r}"
    else:
        same = type(got) is type(wanted) and got == wanted
        return None if same else f"{where}: {got!r} instead of {wanted!r}"
    return next((found for pair in pairs if (found := difference(*pair[1:], pair[0]))), None)


def _near(got: float, wanted: float, where: str) -> bool:
    if where.endswith(".score"):
        # In JSON, a float32 may be written with as many digits as tell it from its neighbours.
        return bool(np.float32(got) == np.float32(wanted))
    if where.endswith(".probability"):
        return abs(got - wanted) <= TOLERANCE
    return math.isclose(got, wanted, rel_tol=1e-9, abs_tol=1e-12)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 600 else f"{text[:300]} … {text[-300:]}"
