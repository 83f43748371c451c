"""The records of ``golden.jsonl`` as types: one JSON object a line, told apart by `kind`.

They are a contract with the phone apps. All places are ranges [start, end); those of `offsets`
count Unicode code points, those of `utf16_offsets` UTF-16 units, as Kotlin's and Swift's strings
do. They are read strictly: an unknown key, a wrong type or a missing field is an error.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from ondevice.errors import BundleError
from ondevice.manifest import Strict, WindowInfo

Range = tuple[int, int]
# Real numbers are rounded to so many places.
DECIMALS = 6
# [1, W], [1, L] or [1, L, C], as the output is.
Output = tuple[tuple[float, ...] | tuple[tuple[float, ...], ...]]
# What a question cannot be answered for; the words are the apps'.
InputError = Literal["empty_question", "empty_context"]


class TokenizeRecord(Strict):
    """A text, its ids without special tokens, and where each token stands in the text."""

    kind: Literal["tokenize"] = "tokenize"
    text: str
    ids: tuple[int, ...]
    offsets: tuple[Range, ...]
    utf16_offsets: tuple[Range, ...]


class WindowRow(Strict):
    """One window, unpadded. `context` is the range of its context tokens.

    `offsets` and `utf16_offsets` are zeros outside the context. `max_context` is 1 where this
    window, of all that hold the token, shows the most context around it.
    """

    input_ids: tuple[int, ...]
    token_type_ids: tuple[int, ...]
    offsets: tuple[Range, ...]
    utf16_offsets: tuple[Range, ...]
    context: Range
    max_context: tuple[Literal[0, 1], ...]


class WindowRecord(Strict):
    """A pair and the windows over it under `options`, or the error that it is."""

    kind: Literal["window"] = "window"
    question: str
    context: str
    options: WindowInfo
    windows: tuple[WindowRow, ...]
    error: InputError | None = None


class RunRecord(Strict):
    """Model inputs of one length, with the checkpoint's float32 outputs.

    Only the first `valid` tokens of an output by token count; the rest is padding. The artifact
    may differ by `max_abs` in each value, or have the cosine similarity `min_cosine` at least,
    whichever is given. `inputs` are the rows of [1, L] arrays.
    """

    kind: Literal["run"] = "run"
    length: int = Field(gt=0)
    valid: int = Field(gt=0)
    inputs: dict[str, tuple[int, ...]]
    outputs: dict[str, Output]
    max_abs: float | None
    min_cosine: float | None

    @model_validator(mode="after")
    def _fits_itself(self) -> RunRecord:
        if self.max_abs is None and self.min_cosine is None:
            raise ValueError("a golden without max_abs and min_cosine would pass anything")
        if self.valid > self.length or any(len(r) != self.length for r in self.inputs.values()):
            raise ValueError(f"its inputs must be {self.length} long, `valid` at most that")
        if any(_is_ragged(rows[0]) for rows in self.outputs.values()):
            raise ValueError("the rows of an output must be equally long, and not empty")
        return self


def _is_ragged(row: tuple[float, ...] | tuple[tuple[float, ...], ...]) -> bool:
    sizes = {len(one) if isinstance(one, tuple) else 0 for one in row}
    return len(sizes) != 1 or (isinstance(row[0], tuple) and sizes == {0})


class Span(Strict):
    """An answer: the code points [start, end) of the context.

    `score` is start logit + end logit; `probability` the softmax over the n best.
    """

    text: str
    start: int = Field(ge=0)
    end: int = Field(ge=0)
    score: float
    probability: float = Field(ge=0, le=1)


class LogitWindow(Strict):
    """A window of T tokens with made-up logits."""

    offsets: tuple[Range, ...]
    context: Range
    max_context: tuple[Literal[0, 1], ...]
    start_logits: tuple[float | None, ...]
    end_logits: tuple[float | None, ...]


class DecodeRecord(Strict):
    """Logits over windows and the spans to choose, best first. No model is needed.

    Every logit is a multiple of 1/8, so that each sum is exact in float32; probabilities hold
    within 1e-6. A logit that is null stands for NaN, which JSON lacks: error `not_finite`.
    """

    kind: Literal["decode"] = "decode"
    name: str
    context: str
    options: WindowInfo
    windows: tuple[LogitWindow, ...]
    answers: tuple[Span, ...]
    error: Literal["not_finite"] | None = None


class AnswerRecord(Strict):
    """A question from end to end: the checkpoint's own best answer.

    `margin` is how far its score is above the second best. `decisive`: no artifact within its
    scheme's limit can come to another answer; where it is false, another answer proves nothing.
    """

    kind: Literal["answer"] = "answer"
    question: str
    context: str
    options: WindowInfo
    windows: int = Field(gt=0)
    answer: Span
    utf16: Range
    margin: float = Field(ge=0)
    decisive: bool


Record = Annotated[
    TokenizeRecord | WindowRecord | RunRecord | DecodeRecord | AnswerRecord,
    Field(discriminator="kind"),
]
_ADAPTER: TypeAdapter[Record] = TypeAdapter(Record)


def read(path: Path) -> list[Record]:
    """Read a bundle's goldens.

    Raises:
        BundleError: the file cannot be read, or a line is not a record.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"the goldens '{path}' cannot be read: {error}") from error
    records: list[Record] = []
    for number, line in enumerate(lines, 1):
        if not line and number == len(lines):
            break
        try:
            records.append(_ADAPTER.validate_json(line, strict=True))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the record"
            raise BundleError(
                f"line {number} of '{path}' is not a golden: {where}: {first['msg']}"
            ) from error
    return records
