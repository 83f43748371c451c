"""Answers that were given already, kept on disk by what gave them and what was asked.

One file of JSON lines for each artifact or checkpoint, named by a hash over everything that decides
an answer; the first line says on which runtime. A line is added as soon as its question is
answered, so that a killed search loses one question at most. A line that was cut off is dropped.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from ondevice.errors import UserError
from ondevice.manifest import Evidence
from ondevice.tasks.qa import QAExample
from ondevice.tasks.qa_scores import Answered
from ondevice.untrusted import parse_json


@dataclass(frozen=True)
class Source:
    """What gave the answers."""

    runtime: str
    version: str
    evidence: Evidence


def key_of(facts: Mapping[str, Any]) -> str:
    """Return the hash of what decides an answer."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def question_key(example: QAExample) -> str:
    """Return the hash of what is asked: the texts, not the id or the answers."""
    return hashlib.sha256(json.dumps([example.question, example.context]).encode()).hexdigest()[:32]


class Replies:
    """The answers of one artifact or checkpoint."""

    def __init__(self, directory: Path, key: str) -> None:
        """Read what there is; `key` is the hash of what answers."""
        self._path = directory / f"{key}.jsonl"
        self._stream: TextIO | None = None
        self.source: Source | None = None
        self._known: dict[str, Answered] = {}
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            self._read()

    def missing(self, examples: Sequence[QAExample]) -> list[QAExample]:
        """Return the examples that have no answer yet; all of them while nobody has answered."""
        if self.source is None:
            return list(examples)
        return [example for example in examples if question_key(example) not in self._known]

    def answers(self, examples: Sequence[QAExample]) -> dict[str, Answered]:
        """Return the answers by question id; every example must have one."""
        return {example.id: self._known[question_key(example)] for example in examples}

    def add(self, example: QAExample, answered: Answered) -> None:
        """Keep an answer; call it within :meth:`writing`."""
        assert self._stream is not None
        text, (start, end) = answered
        key = question_key(example)
        self._known[key] = answered
        self._write({"question": key, "text": text, "start": start, "end": end})

    @contextlib.contextmanager
    def writing(self, source: Source) -> Iterator[None]:
        """Open the file for answers of `source`; those of another runtime are forgotten.

        Raises:
            UserError: it cannot be written.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fresh = source != self.source
            with self._path.open("w" if fresh else "a", encoding="utf-8") as self._stream:
                if fresh:
                    self.source, self._known = source, {}
                    self._write(asdict(source))
                yield
        except OSError as error:
            reason = error.strerror or str(error)
            raise UserError(f"cannot write '{self._path}': {reason}; choose another --out") from (
                error
            )
        finally:
            self._stream = None

    def _write(self, record: Mapping[str, Any]) -> None:
        assert self._stream is not None
        self._stream.write(json.dumps(record) + "\n")
        self._stream.flush()

    def _read(self) -> None:
        content = self._path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            os.truncate(self._path, len(whole))
        try:
            first, *rest = [parse_json(line) for line in whole.splitlines()]
            known = {
                str(one["question"]): (str(one["text"]), (int(one["start"]), int(one["end"])))
                for one in rest
            }
            self.source = Source(**first)
        except (ValueError, KeyError, TypeError):
            # Not as it was written: everything is asked anew.
            return
        self._known = known
