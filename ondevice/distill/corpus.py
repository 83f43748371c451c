"""Raw text as a stream of training chunks; memory does not grow with the corpus."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import IterableDataset

from ondevice.distill.data import open_text, rows
from ondevice.distill.options import REMOTE
from ondevice.errors import DataError, UserError, require
from ondevice.tokenizer import TextTokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# Chunks shuffled and sorted together: this many batches are held in memory.
GROUP = 50
# A chunk with fewer tokens than this teaches nothing about its neighbours.
SHORTEST = 8


@dataclass(frozen=True, eq=False)
class Chunk:
    """Token ids [T] with the special tokens around them; `number` counts chunks of the corpus."""

    number: int
    epoch: int
    input_ids: NDArray[np.int32]

    def __len__(self) -> int:
        """Return T."""
        return int(self.input_ids.shape[0])


@dataclass(frozen=True, eq=False)
class Counts:
    """What one pass over the corpus counts: chunks, and each token's occurrences [V]."""

    chunks: int
    tokens: NDArray[np.int64]


def documents(sources: Sequence[str]) -> Iterator[str]:
    """Yield documents: the non-empty lines of files, of all files in directories, or of `datasets`.

    Raises:
        UserError: a source does not exist.
        DataError: a file is unreadable.
    """
    for source in sources:
        if source.startswith(REMOTE):
            yield from _hub_documents(source)
            continue
        for path in files(source):
            yield from _lines(path)


def files(source: str) -> list[Path]:
    """Return a text file, or the `.txt` and `.txt.gz` files below a directory, in order of name.

    Raises:
        UserError: there is none.
    """
    path = Path(source)
    if path.is_file():
        return [path]
    found = sorted(p for p in path.rglob("*") if p.name.endswith((".txt", ".txt.gz")))
    if not found:
        raise UserError(f"{source} is no text file and no directory with .txt or .txt.gz files")
    return found


class Corpus(IterableDataset[Chunk]):
    """The chunks of a corpus, shuffled and grouped by length within a bounded buffer.

    The order depends on seed and epoch alone; `batch_size` counts the chunks of one optimizer step.
    It has a length, for which the text is read once: without one the engine knows no end of a pass,
    and gradients left over from one pass would leak into the next.
    """

    def __init__(
        self,
        sources: Sequence[str],
        tokenizer: TextTokenizer,
        *,
        max_length: int,
        batch_size: int,
        seed: int,
    ) -> None:
        """Keep the settings; nothing is read yet."""
        self._sources = tuple(sources)
        self._tokenizer = tokenizer
        self._max_length = max_length
        self._batch = batch_size
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; the engine calls it."""
        self._epoch = epoch

    def __len__(self) -> int:
        """Return the number of chunks."""
        return self.counts.chunks

    def __iter__(self) -> Iterator[Chunk]:
        """Yield chunks."""
        draw = np.random.default_rng((self._seed, self._epoch))
        buffer: list[Chunk] = []
        for chunk in self.chunks():
            buffer.append(chunk)
            if len(buffer) == GROUP * self._batch:
                yield from self._mixed(buffer, draw)
                buffer = []
        yield from self._mixed(buffer, draw)

    def chunks(self) -> Iterator[Chunk]:
        """Yield chunks in the order of the text."""
        tokenizer = self._tokenizer.tokenizer
        first, last = _specials(tokenizer)
        room = self._max_length - len(first) - len(last)
        number = 0
        for document in documents(self._sources):
            ids = tokenizer.encode(document, add_special_tokens=False).ids
            for begin in range(0, len(ids), room):
                piece = ids[begin : begin + room]
                if len(piece) >= SHORTEST:
                    array = np.asarray([*first, *piece, *last], dtype=np.int32)
                    yield Chunk(number, self._epoch, array)
                    number += 1

    @cached_property
    def counts(self) -> Counts:
        """Read the corpus once, and remember what was counted.

        Raises:
            DataError: it has no text.
        """
        tokens = np.zeros(self._tokenizer.size, dtype=np.int64)
        number = 0
        for chunk in self.chunks():
            number += 1
            np.add.at(tokens, chunk.input_ids, 1)
        if not number:
            raise DataError(f"the corpus {', '.join(self._sources)} holds no text to train on")
        return Counts(number, tokens)

    def _mixed(self, buffer: list[Chunk], draw: np.random.Generator) -> Iterable[Chunk]:
        shuffled = [buffer[i] for i in draw.permutation(len(buffer))]
        shuffled.sort(key=len)
        batches = [shuffled[i : i + self._batch] for i in range(0, len(shuffled), self._batch)]
        for index in draw.permutation(len(batches)):
            yield from batches[index]


def _specials(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """Return the special ids that the tokenizer puts before and after a text."""
    encoding = tokenizer.encode("a")
    inside = [i for i, special in enumerate(encoding.special_tokens_mask) if not special]
    return encoding.ids[: inside[0]], encoding.ids[inside[-1] + 1 :]


def _lines(path: Path) -> Iterator[str]:
    try:
        with open_text(path) as stream:
            for line in stream:
                if text := line.strip():
                    yield text
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text (byte {error.start})") from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read {path}, or it is cut off or damaged: {error}") from error


def _hub_documents(source: str) -> Iterator[str]:
    require("datasets", extra="distill")
    for row in rows(Path(source)):
        text = row.get("text")
        if not isinstance(text, str):
            raise DataError(f"{source} has no column 'text'; columns: {', '.join(map(str, row))}")
        if text.strip():
            yield text.strip()
