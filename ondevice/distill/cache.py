"""The teacher's outputs on disk, keyed by content, so that later epochs and runs skip the teacher.

A shard holds 512 features. Its name is the hash of the teacher's files and the tokens of its
features, so a changed teacher or text gets new shards, unchanged data finds its old ones, and a
killed run continues where it stopped. Logits and the hidden states of each layer are files of their
own: runs that compare other layers share what they have in common. Files are plain `.npy` (never
pickled), of which a feature's rows alone are read, and none stays open: a long training has more
files than a process may hold.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ondevice.distill.heads.base import Feature, FloatArray
from ondevice.errors import DataError, UserError

logger = logging.getLogger(__name__)

SHARD = 512
FORMAT = "2"
LOGITS = "logits"


@dataclass(frozen=True, eq=False)
class TeacherOutput:
    """What the teacher says of one feature: logits [R, C]; hidden states [T, K, H] of K layers."""

    logits: FloatArray
    hidden: NDArray[np.float16] | None


# float32 logits [rows, C] or float16 hidden states of a layer [tokens, H].
Stored = NDArray[np.float32] | NDArray[np.float16]
# Computes the outputs of a list of features, in order.
Compute = Callable[[Sequence[Feature]], list[TeacherOutput]]


@dataclass(frozen=True)
class _Layout:
    """Where the rows of a file begin, how many there are, and what a row holds."""

    offset: int
    rows: int
    width: int
    dtype: np.dtype[Any]


class TeacherCache:
    """Outputs of one teacher for one list of features."""

    def __init__(
        self,
        directory: Path,
        teacher_key: str,
        items: Sequence[Feature],
        *,
        per_token: bool,
        layers: tuple[int, ...] = (),
    ) -> None:
        """Name the shards; nothing is computed yet.

        `teacher_key` covers whatever decides what the teacher says: weights and configuration.
        """
        self.directory = directory
        self.layers = layers
        self._items = items
        self._rows = [len(item) if per_token else 1 for item in items]
        self._lengths = [len(item) for item in items]
        self._keys = [
            self._key(teacher_key, items[begin : begin + SHARD])
            for begin in range(0, len(items), SHARD)
        ]
        self._known: dict[Path, _Layout] = {}

    @property
    def missing(self) -> list[int]:
        """Return the numbers of the shards of which something is not on disk."""
        return [number for number in range(len(self._keys)) if self._absent(number)]

    def fill(self, compute: Compute, *, classes: int = 2, width: int = 0) -> None:
        """Compute what is missing.

        Args:
            compute: runs the teacher.
            classes: the logits of a row, for the check of the room on disk.
            width: the hidden size, for the same.

        Raises:
            UserError: the disk has no room; whole shards stay.
        """
        missing = self.missing
        if not missing:
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        needed = 0
        for number in missing:
            shard = slice(number * SHARD, (number + 1) * SHARD)
            for kind in self._absent(number):
                # float32 logits, float16 hidden states.
                if kind == LOGITS:
                    needed += 4 * classes * sum(self._rows[shard])
                else:
                    needed += 2 * width * sum(self._lengths[shard])
        free = shutil.disk_usage(self.directory).free
        if needed > free:
            raise UserError(
                f"the teacher cache needs {needed / 1e9:.1f} GB in {self.directory}, where "
                f"{free / 1e9:.1f} GB are free; give --cache another disk, or run without it"
            )
        for done, number in enumerate(missing):
            outputs = compute(self._items[number * SHARD : (number + 1) * SHARD])
            try:
                for kind in self._absent(number):
                    self._write(self._path(self._keys[number], kind), self._gather(outputs, kind))
            except OSError as error:
                reason = error.strerror or error
                raise UserError(f"cannot write to {self.directory}: {reason}") from error
            logger.info("teacher outputs: %d of %d shards", done + 1, len(missing))

    def __getitem__(self, index: int) -> TeacherOutput:
        """Return the outputs for feature `index`.

        Raises:
            DataError: a shard is damaged.
        """
        number, place = divmod(index, SHARD)
        key, begin = self._keys[number], number * SHARD
        row = sum(self._rows[begin : begin + place])
        rows = sum(self._rows[begin : begin + SHARD])
        logits = self._read(self._path(key, LOGITS), rows, row, self._rows[index])
        hidden = None
        if self.layers:
            token = sum(self._lengths[begin : begin + place])
            tokens = sum(self._lengths[begin : begin + SHARD])
            paths = [self._path(key, _hidden(layer)) for layer in self.layers]
            chosen = [self._read(path, tokens, token, self._lengths[index]) for path in paths]
            hidden = np.stack(chosen, axis=1).astype(np.float16, copy=False)
        return TeacherOutput(logits.astype(np.float32, copy=False), hidden)

    def _key(self, teacher: str, items: Sequence[Feature]) -> str:
        digest = hashlib.sha256(f"{FORMAT}|{teacher}|{len(items)}".encode())
        for item in items:
            digest.update(len(item).to_bytes(4, "little"))
            digest.update(np.ascontiguousarray(item.input_ids, dtype="<i4").tobytes())
            digest.update(np.ascontiguousarray(item.token_type_ids, dtype="<i4").tobytes())
        return digest.hexdigest()[:32]

    def _absent(self, number: int) -> list[str]:
        """Return the kinds of outputs that this shard should have and has not on disk."""
        kinds = [LOGITS, *map(_hidden, self.layers)]
        return [kind for kind in kinds if not self._path(self._keys[number], kind).is_file()]

    def _gather(self, outputs: Sequence[TeacherOutput], kind: str) -> Stored:
        """Return one kind of the outputs of a shard: float32 logits or float16 states."""
        if kind == LOGITS:
            return np.concatenate([output.logits for output in outputs]).astype(np.float32)
        place = [_hidden(layer) for layer in self.layers].index(kind)
        states = [output.hidden[:, place] for output in outputs if output.hidden is not None]
        return np.concatenate(states).astype(np.float16)

    def _path(self, key: str, kind: str) -> Path:
        return self.directory / f"{key}.{kind}.npy"

    def _read(self, path: Path, rows: int, first: int, count: int) -> Stored:
        """Read `count` rows from `first` on of a file that should have `rows`."""
        try:
            if path not in self._known:
                self._known[path] = _layout(path)
            layout = self._known[path]
            if layout.rows != rows:
                raise DataError(f"{path} holds {layout.rows} rows, not {rows}; delete it")
            begin = layout.offset + first * layout.width * layout.dtype.itemsize
            found = np.fromfile(path, layout.dtype, count * layout.width, offset=begin)
            return found.reshape(count, layout.width)
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror or error}") from error
        except ValueError as error:
            raise DataError(f"{path} is damaged ({error}); delete it and start again") from error

    @staticmethod
    def _write(path: Path, array: Stored) -> None:
        # One name a process: two runs that fill the same cache must not write into one file.
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        try:
            with temporary.open("wb") as stream:
                np.save(stream, array, allow_pickle=False)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def _hidden(layer: int) -> str:
    """Return the kind of output that a layer's hidden states are."""
    return f"hidden{layer}"


def _layout(path: Path) -> _Layout:
    """Read a file's header; that it is as long as it says is looked at too.

    Raises:
        ValueError: it is no whole array of rows.
    """
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(array, np.memmap) or array.ndim != 2:
        raise ValueError("it holds no rows")
    return _Layout(array.offset, len(array), array.shape[1], array.dtype)
