"""SQuAD files (v1.1 and v2), read with suspicion: every answer must stand where the file says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ondevice.errors import DataError
from ondevice.untrusted import parse_json


@dataclass(frozen=True)
class Gold:
    """An answer a human marked: `text` is `context[start : start + len(text)]`."""

    text: str
    start: int


@dataclass(frozen=True)
class QAExample:
    """A question about a context; no `answers`: it has none (SQuAD v2), or is unlabelled."""

    id: str
    question: str
    context: str
    answers: tuple[Gold, ...] = ()


def read_squad(path: Path, *, need_answers: bool = True) -> list[QAExample]:
    """Read SQuAD v1.1 or v2 JSON; repeated answers are kept, since they are annotators' votes.

    Args:
        path: the JSON file.
        need_answers: refuse a question without answers, unless it says `is_impossible`.

    Raises:
        DataError: the file is unreadable, or a record contradicts itself; names file and question.
    """
    try:
        document = parse_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text (byte {error.start})") from error
    except ValueError as error:
        raise DataError(f"{path} is not JSON, or is cut off: {error}") from error
    return _examples(_records(document, path), str(path), need_answers)


def read_rows(
    rows: Iterable[Mapping[str, Any]], where: str, *, need_answers: bool = True
) -> list[QAExample]:
    """Read the rows of a `datasets` data set in SQuAD's layout, one question each.

    A row has id, question, context, and answers as {text: [...], answer_start: [...]}; empty lists
    say that there is no answer, as `squad_v2` does. `where` names the rows in errors.

    Raises:
        DataError: a row contradicts itself; names it.
    """
    return _examples(_pairs(rows, where), where, need_answers)


def _examples(
    records: Iterable[tuple[str, Mapping[str, Any]]], where: str, need_answers: bool
) -> list[QAExample]:
    examples: list[QAExample] = []
    seen: set[str] = set()
    for context, record in records:
        example = _example(context, record, where, need_answers)
        if example.id in seen:
            raise DataError(f"{where}: the question id '{example.id}' occurs twice")
        seen.add(example.id)
        examples.append(example)
    if not examples:
        raise DataError(f"{where} holds no questions")
    return examples


def _pairs(
    rows: Iterable[Mapping[str, Any]], where: str
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield (context, question record) pairs, the record as a SQuAD file has it."""
    for number, row in enumerate(rows, start=1):
        try:
            columns = row["answers"]["text"], row["answers"]["answer_start"]
            answers = [
                {"text": text, "answer_start": int(start)}
                for text, start in zip(*columns, strict=True)
            ]
            record = {"id": row["id"], "question": row["question"], "answers": answers}
            yield row["context"], record | {"is_impossible": not answers}
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{where}, row {number} is not in SQuAD's layout (id, question, context, answers"
                f" with text and answer_start): {error!r}"
            ) from error


def _records(document: Any, path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield (context, question record) pairs of a SQuAD document."""
    try:
        for article in document["data"]:
            for paragraph in article["paragraphs"]:
                for record in paragraph["qas"]:
                    yield paragraph["context"], record
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{path} is not in SQuAD's layout: a document with data / paragraphs / context, qas"
            f"{_missing(error)}"
        ) from error


def _example(context: str, record: Mapping[str, Any], source: str, need: bool) -> QAExample:
    try:
        identifier, question = str(record["id"]), record["question"]
        where = f"{source}, question '{identifier}'"
        impossible = bool(record.get("is_impossible", False))
        answers = () if impossible else record.get("answers", ())
        golds = tuple(Gold(answer["text"], answer["answer_start"]) for answer in answers)
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{source}: a question is not in SQuAD's layout: id, question, answers / text,"
            f" answer_start{_missing(error)}"
        ) from error
    if not isinstance(context, str) or not context.strip():
        raise DataError(f"{where}: the context is empty")
    if not isinstance(question, str) or not question.strip():
        raise DataError(f"{where}: the question is empty")
    for gold in golds:
        if not isinstance(gold.text, str) or type(gold.start) is not int or not gold.text.strip():
            raise DataError(f"{where}: an answer needs a text and a whole-number answer_start")
        found = context[gold.start : gold.start + len(gold.text)] if gold.start >= 0 else ""
        if found != gold.text:
            raise DataError(
                f"{where}: the answer '{gold.text}' does not stand at {gold.start} in its context, "
                f"where it reads '{found}'"
            )
    if need and not golds and not impossible:
        raise DataError(f"{where}: it has no answer and does not say is_impossible")
    return QAExample(identifier, question, context, golds)


def _missing(error: Exception) -> str:
    """Name the field that is not there, if that is what is wrong."""
    return f"; there is no {error}" if isinstance(error, KeyError) else ""
