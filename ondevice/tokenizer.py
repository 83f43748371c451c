"""The tokenizer of a checkpoint or a bundle, without transformers.

A bundle carries ``tokenizer.json`` and, for WordPiece, ``vocab.txt``: the first is what Python
reads, the second what the phone apps read.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ondevice.errors import CheckpointError
from ondevice.untrusted import parse_json

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TOKENIZER_FILE = "tokenizer.json"
VOCAB_FILE = "vocab.txt"


@dataclass(frozen=True)
class TextTokenizer:
    """A tokenizer and what a phone must know to do the same."""

    tokenizer: Tokenizer
    kind: Literal["wordpiece", "bpe"]
    lowercase: bool
    strip_accents: bool
    pad_id: int

    @cached_property
    def size(self) -> int:
        """One more than the largest id that it can give."""
        return 1 + max(self.tokenizer.get_vocab(with_added_tokens=True).values())

    def vocabulary(self) -> list[str]:
        """Return the tokens in the order of their ids; an id without a token is ``[unusedN]``."""
        tokens = self.tokenizer.get_vocab(with_added_tokens=True)
        by_id = {number: token for token, number in tokens.items()}
        return [by_id.get(number, f"[unused{number}]") for number in range(self.size)]

    def json(self) -> str:
        """Return the text of ``tokenizer.json``."""
        return str(self.tokenizer.to_str(pretty=False))


def read_tokenizer(directory: Path) -> TextTokenizer:
    """Read the tokenizer that lies beside a checkpoint or in a bundle.

    Padding and truncation that were saved with it are switched off: lengths are ours to choose.

    Raises:
        CheckpointError: there is none, or it cannot be read.
    """
    options = _read_json(directory / "tokenizer_config.json")
    try:
        if (directory / TOKENIZER_FILE).is_file():
            tokenizer = _from_file(directory / TOKENIZER_FILE)
        elif (directory / VOCAB_FILE).is_file():
            tokenizer = _from_vocab(directory / VOCAB_FILE, options)
        elif (directory / "vocab.json").is_file() and (directory / "merges.txt").is_file():
            tokenizer = _from_merges(directory)
        else:
            raise CheckpointError(
                f"no tokenizer in '{directory}'; put tokenizer.json, or vocab.txt, or vocab.json"
                " with merges.txt there"
            )
    except CheckpointError:
        raise
    except Exception as error:  # tokenizers raises bare Exception for every unreadable file
        raise CheckpointError(f"the tokenizer in '{directory}' cannot be read: {error}") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return _describe(tokenizer, directory)


def _from_file(path: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(path))


def _from_vocab(path: Path, options: dict[str, Any]) -> Tokenizer:
    from tokenizers.implementations import BertWordPieceTokenizer

    wordpiece = BertWordPieceTokenizer(
        str(path),
        lowercase=bool(options.get("do_lower_case", True)),
        strip_accents=options.get("strip_accents"),
        handle_chinese_chars=bool(options.get("tokenize_chinese_chars", True)),
    )
    tokenizer: Tokenizer = wordpiece._tokenizer
    return tokenizer


def _from_merges(directory: Path) -> Tokenizer:
    from tokenizers.implementations import ByteLevelBPETokenizer
    from tokenizers.processors import RobertaProcessing

    bpe = ByteLevelBPETokenizer(str(directory / "vocab.json"), str(directory / "merges.txt"))
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    bpe.add_special_tokens([token for token in specials if bpe.token_to_id(token) is not None])
    start, end = bpe.token_to_id("<s>"), bpe.token_to_id("</s>")
    if start is None or end is None:
        raise CheckpointError(f"the vocab.json in '{directory}' has no <s> or </s> token")
    tokenizer: Tokenizer = bpe._tokenizer
    tokenizer.post_processor = RobertaProcessing(
        ("</s>", end), ("<s>", start), trim_offsets=True, add_prefix_space=False
    )
    return tokenizer


def _describe(tokenizer: Tokenizer, directory: Path) -> TextTokenizer:
    parts = json.loads(tokenizer.to_str())
    kind = str(parts["model"]["type"])
    if kind not in {"WordPiece", "BPE"}:
        raise CheckpointError(
            f"unsupported tokenizer '{kind}' in '{directory}'; tokenizers: WordPiece, BPE"
        )
    normalizer = parts.get("normalizer") or {}
    if kind == "WordPiece" and normalizer.get("type") != "BertNormalizer":
        # The phone apps follow BERT's rules; another normalizer would tokenize differently there.
        raise CheckpointError(
            f"unsupported normalizer '{normalizer.get('type')}' of the tokenizer in '{directory}';"
            " WordPiece tokenizers need BertNormalizer"
        )
    lowercase = bool(normalizer.get("lowercase", False))
    strip = normalizer.get("strip_accents")
    return TextTokenizer(
        tokenizer=tokenizer,
        kind="wordpiece" if kind == "WordPiece" else "bpe",
        lowercase=lowercase,
        # BERT's rule: unless it is said, accents go when upper case goes.
        strip_accents=lowercase if strip is None else bool(strip),
        pad_id=_pad_id(tokenizer, directory),
    )


def _pad_id(tokenizer: Tokenizer, directory: Path) -> int:
    for token in ("[PAD]", "<pad>"):
        found = tokenizer.token_to_id(token)
        if found is not None:
            return int(found)
    raise CheckpointError(f"the tokenizer in '{directory}' has no [PAD] or <pad> token")


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        loaded = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"'{path}' cannot be read: {error}") from error
    return loaded if isinstance(loaded, dict) else {}
