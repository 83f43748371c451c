"""Texts that tokenizers disagree about, and a vocabulary that tells their answers apart."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from hypothesis import strategies as st

from ondevice import goldens, samples
from tests.conftest import WORDS

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

# Marks that NFD puts into another order and keeps (Mc), or drops (Mn), of several classes; what
# decomposes into several; and what comes between.
MARKS = "\u0301\u0308\u0323\u0327\u0345\u0334\u302e\u302f\u1b44\U0001d165\U0001d16d\u093c\u094d"
COMPOSED = "éÅ\u212bǅİẞΣςﬁ\u0344\u0958\u1b06\u1b12\U0001d15e각한뷁각\uf900\U0002f800豈ｱＡ"
ODD = (
    "\0\x07\t\n\r\x0b\x1c\x85\xa0\xad\u200b\u200d\u2028\u2029\u3000\ufeff\ufffd\ufffe"
    "\ue000\U000f0000\U0010ffff\U000e0041\u0378\u061c"
)
SIGNS = "!$+<=>^|~`'\"-_.,;:?()[]{}@#%&*/\\€±×°§«»¿—…、。・！［］"
WIDE = "東京一\u3400\u4db5\U00020000\U0002a6df\U0002ebe0\U0003134aあアｶ〆々한글"
PICTURES = "😀👩👧👍🏽🇪🇺\ufe0f\u20e3"
SCRIPTS = "абвЁйґαβγάώאבגעבرسمةहिंदीไทยกำខ្មែរবাংলা"
LATIN = "abcdefghijklmnopqrstuvwxyzABCDEFXYZ0123456789áçñøßþÿŁŐșẦỆ"
ALL = MARKS * 2 + COMPOSED * 2 + ODD + SIGNS + WIDE + PICTURES + SCRIPTS + LATIN

# As whole words, since a word of unknown characters is one [UNK] and hides the rest.
PHRASES = (
    "the ",
    "river's ",
    "[SEP]",
    "[MASK]",
    "[CLS",
    "[sep]",
    "[UNK][PAD]",
    "x" * 100,
    "é" * 101,
    "\r\n",
    "e\u0301\u0323",
    "ΟΔΥΣΣΕΥΣ",
)


def vocabulary() -> list[str]:
    """Return word pieces for what the texts normalize to, in every mode.

    One in twelve characters is left out, so that there are unknown words too. Composed and
    decomposed forms of a character are different pieces, which a comparison of strings by
    canonical equivalence (Swift's) would take for the same. Two pieces hold what some readers of
    lines take for the end of one.
    """
    chosen = random.Random(6)
    pool = dict.fromkeys(
        part
        for char in ALL
        for form in (char, unicodedata.normalize("NFD", char))
        for text in (form, form.lower(), char.lower())
        for part in (text, *text)
    )
    single = [piece for piece in pool if not piece.isspace() and chosen.random() > 1 / 12]
    pieces = [*SPECIALS, "line\u2028separator", "next\x85line", *WORDS, *single]
    pieces += ["ab", "abc", "e\u0301\u0323", "\u00e9", "가", "\u1100\u1161", "한글", "οδυσσευσ"]
    pieces += [f"##{piece}" for piece in pieces[5:]]
    return list(dict.fromkeys(pieces))


def write_vocabulary(path: Path, pieces: Sequence[str]) -> Path:
    """Write a ``vocab.txt``."""
    path.write_text("".join(f"{piece}\n" for piece in pieces), encoding="utf-8", newline="\n")
    return path


def fixed() -> list[str]:
    """Return the goldens' texts, the samples' passages and each trap alone and between letters."""
    traps = [*ALL, *PHRASES]
    pairs = [mark + other for mark in MARKS + "\u0344é한" for other in MARKS + "\u0344"]
    return [
        *goldens.TEXTS,
        *samples.texts(),
        *traps,
        *(f"a{trap}b" for trap in traps),
        *(f"e{pair}x" for pair in pairs),
        *pairs,
        "".join(ALL),
    ]


def any_text() -> st.SearchStrategy[str]:
    """Return texts of any code points, unpaired surrogates too, weighted towards the traps."""
    char = st.one_of(st.sampled_from(ALL), st.sampled_from(LATIN + "   "), st.characters())
    surrogate = st.sampled_from("\ud800\udbff\udc00\udfff")
    part = st.one_of(char, char, char, st.sampled_from(PHRASES), surrogate)
    return st.lists(part, max_size=20).map("".join)


def random_text(source: random.Random, size: int) -> str:
    """Return a text of so many parts, as :func:`any_text` has them, without hypothesis' cost."""
    return "".join(_part(source) for _ in range(size))


def _part(source: random.Random) -> str:
    kind = source.random()
    if kind < 0.5:
        return source.choice(ALL)
    if kind < 0.75:
        return source.choice(LATIN + "   ")
    if kind < 0.8:
        return source.choice(PHRASES)
    if kind < 0.82:
        return chr(source.randrange(0xD800, 0xE000))
    plane = source.choice((0x800, 0x3000, 0x10000, 0x20000, 0x110000))
    return chr(source.randrange(plane))
