"""Drop the word pieces that a corpus never uses: two thirds of a small encoder are its word table.

What stays: every piece that WordPiece takes for a text of the corpus; the special tokens; single
characters, alone and as continuations; and pieces with a character that has no such single form.
A word that was tokenized with a dropped piece is tokenized with shorter ones, at worst character
by character, so nothing becomes ``[UNK]``. A text whose pieces all stay keeps them: WordPiece takes
the longest match, and the longest of all pieces is still the longest of those that are left. So
such a text has the same outputs, bit by bit.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondevice import calibration, staging
from ondevice.errors import CheckpointError, DataError, UserError
from ondevice.tokenizer import TOKENIZER_FILE, VOCAB_FILE, TextTokenizer
from ondevice.untrusted import parse_json

if TYPE_CHECKING:
    from ondevice.models import Checkpoint

# Documents tokenized together; memory grows with this, not with the corpus.
BATCH = 1000
# Of a trimmed table a multiple: Core ML's tables of 16 values have up to 16 rows each.
ROWS = 16
WORDS = "embeddings.words.weight"
RECORD_FILE = "trim.json"
# Copied from a checkpoint as they are; what a trimmed one reads of them has no ids in it.
_COPIED = ("README.md", "special_tokens_map.json", "modules.json", "1_Pooling/config.json")


@dataclass(frozen=True)
class Trim:
    """Which word pieces stay.

    Attributes:
        kept: their ids before, ascending; the place in it is the id after.
        before: how many there were.
        corpus_sha256: of the corpus's documents, in order, each ended by a line feed.
        documents: how many documents it has.
    """

    kept: tuple[int, ...]
    before: int
    corpus_sha256: str
    documents: int


def read_corpus(source: str) -> Iterator[str]:
    """Yield a corpus's documents.

    Args:
        source: a text file with a document a line, ``.gz`` too; a directory of ``.txt`` and
            ``.txt.gz`` files; or SQuAD JSON (``.json``), whose contexts and questions are the
            documents.

    Raises:
        UserError: there is none.
        DataError: a file is unreadable.
    """
    if source.endswith(".json"):
        from ondevice.tasks.squad import read_squad

        examples = read_squad(Path(source), need_answers=False)
        yield from dict.fromkeys(example.context for example in examples)
        yield from (example.question for example in examples)
        return
    if not Path(source).exists():
        raise UserError(f"there is no corpus '{source}'; give a text file, a directory or a .json")
    from ondevice.distill.corpus import documents

    yield from documents([source])


def choose(tokenizer: TextTokenizer, documents: Iterable[str]) -> Trim:
    """Choose the word pieces that stay, from the documents of a corpus.

    Raises:
        UserError: the tokenizer is not WordPiece, where pieces can be dropped one by one.
        DataError: there are no documents, nothing in them is text, or little of it is known.
    """
    if tokenizer.kind != "wordpiece":
        raise UserError(
            f"the vocabulary of a {tokenizer.kind} tokenizer cannot be trimmed: its pieces are"
            " made of each other; --trim-vocab is for WordPiece"
        )
    used: Counter[int] = Counter()
    digest, count = hashlib.sha256(), 0
    remaining = iter(documents)
    while batch := list(itertools.islice(remaining, BATCH)):
        count += len(batch)
        for text in batch:
            digest.update(text.encode("utf-8", "surrogatepass") + b"\n")
        used += calibration.token_counts(batch, tokenizer)
    if not used:
        raise DataError("the corpus holds no text: every word piece would be dropped")
    calibration.check_known(used, tokenizer, "the corpus", "trim with texts")
    kept = _filled(used.keys() | _always_kept(tokenizer), tokenizer.size)
    return Trim(tuple(kept), tokenizer.size, digest.hexdigest(), count)


def _filled(kept: set[int], size: int) -> list[int]:
    """Return the kept ids, ascending, with the first of the others up to a whole number of rows.

    Rows of the embedding table share scales or tables of values in groups that divide it evenly: a
    prime number of rows would have one for each.
    """
    others = (number for number in range(size) if number not in kept)
    return sorted(kept | set(itertools.islice(others, -len(kept) % ROWS)))


def _always_kept(tokenizer: TextTokenizer) -> set[int]:
    """Return the ids that stay whatever the corpus says."""
    parts = json.loads(tokenizer.json())
    vocabulary: dict[str, int] = parts["model"]["vocab"]
    prefix: str = parts["model"]["continuing_subword_prefix"]
    kept = {int(token["id"]) for token in parts["added_tokens"]}
    for piece, number in vocabulary.items():
        single = _single_forms(piece, prefix)
        spare = re.fullmatch(r"\[unused\d+\]", piece) is not None
        needed = piece in single or not (spare or vocabulary.keys() >= single)
        if needed or piece == parts["model"]["unk_token"]:
            kept.add(number)
    return kept


def _single_forms(piece: str, prefix: str) -> set[str]:
    """Return the pieces that spell a piece character by character."""
    inside = piece.startswith(prefix) and len(piece) > len(prefix)
    body = piece.removeprefix(prefix) if inside else piece
    first = prefix + body[:1] if inside else body[:1]
    return {first, *(prefix + character for character in body[1:])}


def trim_tokenizer(tokenizer: TextTokenizer, trim: Trim) -> str:
    """Return the text of ``tokenizer.json`` with the kept pieces alone, numbered anew."""
    new = {old: number for number, old in enumerate(trim.kept)}
    parts = json.loads(tokenizer.json())
    pieces = sorted(parts["model"]["vocab"].items(), key=lambda item: item[1])
    parts["model"]["vocab"] = {piece: new[old] for piece, old in pieces if old in new}
    for token in parts["added_tokens"]:
        token["id"] = new[token["id"]]
    _renumber(parts.get("post_processor"), new)
    return json.dumps(parts, ensure_ascii=False)


def _renumber(processor: Any, new: Mapping[int, int]) -> None:
    """Give the special tokens that are put around a text their new ids."""
    if not isinstance(processor, dict):
        return
    for part in processor.get("processors", ()):
        _renumber(part, new)
    for special in (processor.get("special_tokens") or {}).values():
        special["ids"] = [new[old] for old in special["ids"]]
    for name in ("cls", "sep"):
        if name in processor:
            token, old = processor[name]
            processor[name] = [token, new[old]]


def write_trimmed(checkpoint: Checkpoint, trim: Trim, directory: Path) -> Checkpoint:
    """Write a checkpoint with the kept word pieces to an empty directory, and look it over.

    It is named as the other is, with the ending ``-trimmed``.

    Raises:
        CheckpointError: the weights cannot be read.
        UserError: the directory cannot be written.
    """
    try:
        _write_files(checkpoint, trim, directory)
    except OSError as error:
        raise UserError(f"'{directory}' cannot be written: {error.strerror or error}") from error
    return _look_over(directory, checkpoint)


def _look_over(directory: Path, before: Checkpoint) -> Checkpoint:
    from ondevice import models

    name = trimmed_name(before)
    return models.load_directory(directory, before.task, name=name, source=f"directory:{name}")


def trimmed_name(checkpoint: Checkpoint) -> str:
    """Return the name of a checkpoint once its vocabulary is trimmed."""
    return f"{checkpoint.name}-trimmed"


def _write_files(checkpoint: Checkpoint, trim: Trim, directory: Path) -> None:
    import torch
    from safetensors.torch import save_file

    state = checkpoint.state()
    table = checkpoint.encoder.names[WORDS]
    rows = torch.tensor(trim.kept, dtype=torch.int64)
    state[table] = state[table][rows]
    contiguous = {name: tensor.contiguous() for name, tensor in state.items()}
    save_file(contiguous, directory / "model.safetensors", metadata={"format": "pt"})
    text = trim_tokenizer(checkpoint.tokenizer, trim)
    (directory / TOKENIZER_FILE).write_text(text, encoding="utf-8")
    lines = checkpoint.tokenizer.vocabulary()
    kept = "".join(f"{lines[old]}\n" for old in trim.kept)
    (directory / VOCAB_FILE).write_text(kept, encoding="utf-8", newline="\n")
    config = parse_json((checkpoint.directory / "config.json").read_text(encoding="utf-8"))
    config = _trim_config(config, trim)
    (directory / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    for name in _COPIED:
        if (checkpoint.directory / name).is_file():
            (directory / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(checkpoint.directory / name, directory / name)


def _trim_config(config: Mapping[str, Any], trim: Trim) -> dict[str, Any]:
    """Give a config the new size, and its special tokens their new ids."""
    new: dict[Any, int] = {old: number for number, old in enumerate(trim.kept)}
    ids = {
        name: new.get(value)
        for name, value in config.items()
        if name.endswith("_token_id") and isinstance(value, int)
    }
    return {**config, **ids, "vocab_size": len(trim.kept)}


@dataclass(frozen=True)
class Trimmed:
    """A trimmed checkpoint on disk.

    Attributes:
        record: where it came from, what was dropped and what that does: ``trim.json``.
        reused: whether it was there already.
    """

    checkpoint: Checkpoint
    record: dict[str, str]
    reused: bool = False

    def sentence(self) -> str:
        """Say in one line what was dropped and what that does."""
        before, after = (self.record[f"pieces_{when}"] for when in ("before", "after"))
        return f"vocabulary: {after} of {before} word pieces; {self.record['effect']}"


def publish(checkpoint: Checkpoint, corpus: str, out: Path) -> Trimmed:
    """Write a trimmed checkpoint to a directory of its name in `out`, and measure the effect.

    One that is there already, from the same weights, tokenizer and text, is taken as it is.

    Raises:
        UserError: there is no such corpus, the tokenizer is not WordPiece, or `out` cannot be
            written.
        DataError: the corpus is unreadable, or holds no text.
    """
    trim = choose(checkpoint.tokenizer, read_corpus(corpus))
    origin = _origin(checkpoint, trim)
    place = out / trimmed_name(checkpoint)
    found = _find(place, checkpoint, origin)
    if found is not None:
        return found
    if place.exists() and not (place / RECORD_FILE).is_file():
        raise UserError(f"'{place}' is there already and is no trimmed checkpoint; move it away")
    from ondevice import vocabulary_effect

    with staging.replacing(place) as staged:
        after = write_trimmed(checkpoint, trim, staged)
        effect = vocabulary_effect.measure(checkpoint, after)
        record = origin | {"weights_sha256": after.sha256, "effect": effect.sentence()}
        text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
        (staged / RECORD_FILE).write_text(text, encoding="utf-8")
    return Trimmed(_look_over(place, checkpoint), record)


def read_record(checkpoint: Checkpoint) -> dict[str, str]:
    """Return what a checkpoint says about its trimming, with the names that manifests have.

    Empty for one that was never trimmed.

    Raises:
        CheckpointError: its record cannot be read.
    """
    path = checkpoint.directory / RECORD_FILE
    if not path.is_file():
        return {}
    try:
        record = parse_json(path.read_text(encoding="utf-8"))
        return {f"trim_{name}": str(value) for name, value in record.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise CheckpointError(f"'{path}' cannot be read: {error}") from error


def _origin(checkpoint: Checkpoint, trim: Trim) -> dict[str, str]:
    """Return what a trimmed checkpoint is made from, and how many pieces it has."""
    return {
        "from": checkpoint.source,
        "from_weights_sha256": checkpoint.sha256,
        "from_tokenizer_sha256": hashlib.sha256(checkpoint.tokenizer.json().encode()).hexdigest(),
        "corpus_sha256": trim.corpus_sha256,
        "documents": str(trim.documents),
        "pieces_before": str(trim.before),
        "pieces_after": str(len(trim.kept)),
    }


def _find(place: Path, before: Checkpoint, origin: Mapping[str, str]) -> Trimmed | None:
    """Return the trimmed checkpoint in a place if it is of that origin, and whole."""
    try:
        record = parse_json((place / RECORD_FILE).read_text(encoding="utf-8"))
        checkpoint = _look_over(place, before)
    except (OSError, ValueError, CheckpointError):
        return None
    same = isinstance(record, dict) and origin.items() <= record.items()
    if not same or checkpoint.sha256 != record.get("weights_sha256"):
        return None
    return Trimmed(checkpoint, record, reused=True)
