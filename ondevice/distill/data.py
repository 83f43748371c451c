"""Labelled text from files or from `datasets`: rows to classify, words with their tags."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ondevice.distill.options import REMOTE
from ondevice.errors import DataError, UserError, require
from ondevice.untrusted import parse_json

Row = dict[str, Any]


@dataclass(frozen=True)
class TextTask:
    """A classification task's columns and metrics; `labels` empty means regression.

    `metrics`: the first is the headline.
    """

    first: str
    second: str | None
    labels: tuple[str, ...]
    metrics: tuple[str, ...]


_TWO = ("0", "1")
_ENTAILMENT = ("entailment", "not_entailment")

# GLUE (Wang et al. 2019, table 1) and IMDb (Maas et al. 2011), columns as in `datasets`.
TEXT_TASKS: dict[str, TextTask] = {
    "cola": TextTask("sentence", None, _TWO, ("matthews",)),
    "sst2": TextTask("sentence", None, _TWO, ("accuracy",)),
    "mrpc": TextTask("sentence1", "sentence2", _TWO, ("f1", "accuracy")),
    "qqp": TextTask("question1", "question2", _TWO, ("f1", "accuracy")),
    "stsb": TextTask("sentence1", "sentence2", (), ("pearson", "spearman")),
    "mnli": TextTask(
        "premise", "hypothesis", ("entailment", "neutral", "contradiction"), ("accuracy",)
    ),
    "qnli": TextTask("question", "sentence", _ENTAILMENT, ("accuracy",)),
    "rte": TextTask("sentence1", "sentence2", _ENTAILMENT, ("accuracy",)),
    "wnli": TextTask("sentence1", "sentence2", _TWO, ("accuracy",)),
    "imdb": TextTask("text", None, _TWO, ("accuracy",)),
}


@dataclass(frozen=True)
class TextExample:
    """A text, or a pair, and its class number, its value, or None where it is unlabelled."""

    id: str
    text: str
    pair: str | None
    label: int | float | None


@dataclass(frozen=True)
class TagExample:
    """A sentence's words and their tags; no `tags` means unlabelled."""

    id: str
    words: tuple[str, ...]
    tags: tuple[str, ...]


def read_text(path: Path, task: TextTask, *, labelled: bool = True) -> list[TextExample]:
    """Read TSV with a header, or JSONL, with the task's columns and `label`.

    Raises:
        DataError: the file is unreadable, or a row lacks a column or has an unknown label.
    """
    examples = []
    for number, row in enumerate(rows(path), start=1):
        where = f"{path}, row {number}"
        text = _text(row, task.first, where)
        pair = _text(row, task.second, where) if task.second else None
        label = _label(row, task, where) if labelled else None
        examples.append(TextExample(f"{path}:{number}", text, pair, label))
    if not examples:
        raise DataError(f"{path} holds no rows")
    return examples


def rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a TSV, CSV or JSONL file (`.gz` too) or of `datasets:NAME/CONFIG:SPLIT`."""
    name = str(path)
    if name.startswith(REMOTE):
        yield from _hub_rows(name)
        return
    suffix = Path(name.removesuffix(".gz")).suffix
    if suffix not in {".tsv", ".csv", ".jsonl"}:
        raise UserError(
            f"{path}: the kind is told by its ending; endings: .tsv, .csv, .jsonl (.gz)"
        )
    try:
        with open_text(path) as stream:
            yield from (
                _json_rows(stream, path) if suffix == ".jsonl" else _table(stream, path, suffix)
            )
    except (OSError, EOFError, zlib.error, csv.Error) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text (byte {error.start})") from error


def read_conll(path: Path, *, labelled: bool = True) -> list[TagExample]:
    """Read CoNLL columns: word first and tag last in a line, blank lines between sentences.

    Raises:
        DataError: the file is unreadable, or a line lacks its tag.
    """
    examples: list[TagExample] = []
    words: list[str] = []
    tags: list[str] = []

    def finish() -> None:
        if words:
            examples.append(TagExample(f"{path}:{len(examples) + 1}", tuple(words), tuple(tags)))
            words.clear()
            tags.clear()

    try:
        with open_text(path) as stream:
            for number, line in enumerate(stream, start=1):
                columns = line.split()
                if not columns or columns[0] == "-DOCSTART-":
                    finish()
                    continue
                if labelled and len(columns) < 2:
                    raise DataError(f"{path}, line {number}: the word '{columns[0]}' has no tag")
                words.append(columns[0])
                if labelled:
                    tags.append(columns[-1])
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text (byte {error.start})") from error
    finish()
    if not examples:
        raise DataError(f"{path} holds no sentences")
    return examples


def open_text(path: Path) -> IO[str]:
    """Open a UTF-8 file, unpacked if its name ends in `.gz`; line ends stay as they are."""
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


def _json_rows(stream: IO[str], path: Path) -> Iterator[Row]:
    for number, line in enumerate(stream, start=1):
        if not line.strip():
            continue
        try:
            row = parse_json(line)
        except ValueError as error:
            reason = str(error).replace(" at line 1 column ", " at column ")
            raise DataError(
                f"{path}, line {number} is not JSON, or is cut off: {reason}"
            ) from error
        if not isinstance(row, dict):
            raise DataError(f"{path}, line {number}: a row must be a JSON object")
        yield row


def _table(stream: IO[str], path: Path, suffix: str) -> Iterator[Row]:
    if suffix == ".csv":
        reader = csv.DictReader(stream)
    else:
        # GLUE's TSV files do not quote: a lone quotation mark is text.
        reader = csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
    for row in reader:
        if None in row or None in row.values():
            raise DataError(
                f"{path}, line {reader.line_num}: the row has more or fewer columns than the header"
            )
        yield dict(row)


def _hub_rows(name: str) -> Iterator[Row]:
    datasets = require("datasets", extra="distill")
    parts = name.removeprefix(REMOTE).split(":")
    if len(parts) != 2 or not all(parts):
        raise UserError(
            f"'{name}' is not datasets:NAME[/CONFIG]:SPLIT, as datasets:glue/sst2:train"
        )
    title, _, config = parts[0].partition("/")
    try:
        found = datasets.load_dataset(title, config or None, split=parts[1], streaming=True)
        yield from found
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"cannot load {name}: {error}; give a local file instead") from error


def _text(row: Row, column: str, where: str) -> str:
    if column not in row:
        raise DataError(f"{where} has no column '{column}'; columns: {', '.join(map(str, row))}")
    text = row[column]
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{where}: the column '{column}' is empty")
    return text


def _label(row: Row, task: TextTask, where: str) -> int | float:
    if "label" not in row:
        raise DataError(f"{where} has no column 'label'; columns: {', '.join(map(str, row))}")
    value = str(row["label"]).strip()
    if not task.labels:
        try:
            return float(value)
        except ValueError as error:
            raise DataError(f"{where}: the label '{value}' is not a number") from error
    if value in task.labels:
        return task.labels.index(value)
    if value.isdigit() and int(value) < len(task.labels):
        return int(value)
    raise DataError(f"{where}: unknown label '{value}'; labels: {', '.join(task.labels)}")
