"""Ask the reference tokenizer about every code point; write its answers for both phone cores.

    python mobile_demo/contract/unicode_tables.py [--check]

White space, control characters, punctuation, ideographs, lower case, decomposition and combining
classes are of different Unicode versions in Swift, on the JVM, in Rust and in Python, and the
reference mixes several itself. So nothing here comes from Python's own tables but the names of the
combining classes; all else is what `tokenizers` (BertNormalizer, NFD, BertPreTokenizer) does.

How the tables are used is written in `reference_wordpiece.py`, an executable specification.
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import tokenizers
from tokenizers.normalizers import NFD, BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

HERE = Path(__file__).resolve().parent
SWIFT = HERE.parent / "ios/QACore/Sources/QACore/UnicodeTables.swift"
KOTLIN = HERE.parent / "android/core/src/main/kotlin/dev/ondevice/core/UnicodeTables.kt"
# Each with its template, which explains the layout.
FILES = {SWIFT: HERE / "UnicodeTables.swift.in", KOTLIN: HERE / "UnicodeTables.kt.in"}

# The bits of a code point's properties.
SPACE, REMOVED, PUNCTUATION, IDEOGRAPH, MARK = 1, 2, 4, 8, 16
# Hangul syllables decompose by a rule (Unicode 3.12), so they are not in the table.
SYLLABLES = range(0xAC00, 0xAC00 + 11172)
# ASCII, which nothing decomposes into or changes; chunks of a probe are told apart by it.
BETWEEN = "0"
# A mark of the lowest combining class, 1, and one of the highest, 240.
LOWEST, HIGHEST = "\u0334", "\u0345"
BATCH = 4096
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"

Mapping = dict[int, tuple[int, ...]]


@dataclass(frozen=True)
class Tables:
    """What the reference knows of each code point; those that are missing have nothing."""

    properties: dict[int, int]
    lowercase: Mapping
    decomposition: Mapping
    combining: dict[int, int]


def probe() -> Tables:
    """Ask the reference about every code point but the surrogates."""
    points = [*range(0xD800), *range(0xE000, 0x110000)]
    cleaned = _normalize(_bert(clean_text=True), points)
    spaced = _normalize(_bert(handle_chinese_chars=True), points)
    lowered = _normalize(_bert(lowercase=True), points)
    stripped = _normalize(_bert(strip_accents=True), points)
    decomposed = _normalize(NFD().normalize_str, points)
    punctuation, separators = _split(points)

    properties: dict[int, int] = {}

    def add(bit: int, members: Iterable[int]) -> None:
        for point in members:
            properties[point] = properties.get(point, 0) | bit

    spaces = {point for point, text in cleaned.items() if text == " "}
    add(SPACE, spaces)
    add(REMOVED, (point for point, text in cleaned.items() if text == ""))
    add(PUNCTUATION, punctuation)
    add(IDEOGRAPH, (point for point, text in spaced.items() if text == f" {chr(point)} "))
    marks = {p for p, text in decomposed.items() if text == chr(p) and stripped[p] == ""}
    add(MARK, marks)
    lowercase = _changed(lowered)
    decomposition = _changed(decomposed)

    # What the specification relies on.
    made = {point for parts in [*lowercase.values(), *decomposition.values()] for point in parts}
    known = {point for point, bits in properties.items() if bits & (SPACE | REMOVED)}
    assert separators <= known, "cleaning leaves a separator that is no plain space"
    assert not made & separators - {ord(" ")} - known, "a separator comes from elsewhere"
    assert all(
        text == "".join(part for part in decomposed[point] if ord(part) not in marks)
        for point, text in stripped.items()
    ), "stripping accents is more than NFD without the marks"
    assert all(decomposition[point] == _hangul(point) for point in SYLLABLES)
    return Tables(
        properties=properties,
        lowercase=lowercase,
        decomposition={p: parts for p, parts in decomposition.items() if p not in SYLLABLES},
        combining=_combining(points, decomposition),
    )


def _bert(**options: bool) -> Callable[[str], str]:
    nothing = dict.fromkeys(
        ("clean_text", "handle_chinese_chars", "strip_accents", "lowercase"), False
    )
    normalize: Callable[[str], str] = BertNormalizer(**(nothing | options)).normalize_str
    return normalize


def _normalize(function: Callable[[str], str], points: list[int]) -> dict[int, str]:
    """Return what each code point becomes on its own."""
    result = {point: function(chr(point)) for point in range(128)}
    rest = points[128:]
    for begin in range(0, len(rest), BATCH):
        chunk = rest[begin : begin + BATCH]
        parts = function(BETWEEN + BETWEEN.join(map(chr, chunk)) + BETWEEN).split(BETWEEN)
        result |= dict(zip(chunk, parts[1:-1], strict=True))
    return result


def _split(points: list[int]) -> tuple[set[int], set[int]]:
    """Return the code points that words are split on: as tokens of their own, and as nothing."""
    alone: set[int] = set()
    nothing: set[int] = set()
    pre_tokenizer = BertPreTokenizer()
    for begin in range(0, len(points), BATCH):
        chunk = points[begin : begin + BATCH]
        text = " ".join(f"{BETWEEN}{chr(point)}{BETWEEN}" for point in chunk)
        pieces = {span for _, span in pre_tokenizer.pre_tokenize_str(text)}
        for place, point in enumerate(chunk):
            at = 4 * place + 1
            if (at, at + 1) in pieces:
                alone.add(point)
            elif (at - 1, at + 2) not in pieces:
                nothing.add(point)
    return alone, nothing


def _changed(texts: dict[int, str]) -> Mapping:
    return {point: tuple(map(ord, text)) for point, text in texts.items() if text != chr(point)}


def _hangul(point: int) -> tuple[int, ...]:
    lead, rest = divmod(point - SYLLABLES.start, 588)
    vowel, tail = divmod(rest, 28)
    parts = (0x1100 + lead, 0x1161 + vowel)
    return (*parts, 0x11A7 + tail) if tail else parts


def _combining(points: list[int], decomposition: Mapping) -> dict[int, int]:
    """Return the combining classes by which NFD orders marks, 0 left out.

    The marks that the reference moves at all are put before and after a ladder with one mark of
    each class: up to and down to which rung they move tells their class.
    """
    reorder = NFD().normalize_str
    moving = _moving([point for point in points if point not in decomposition])
    rungs = {unicodedata.combining(chr(point)): chr(point) for point in reversed(moving)}
    numbers = sorted(rungs)
    ladder = [rungs[number] for number in numbers]
    assert all(reorder(f"{BETWEEN}{b}{a}") == f"{BETWEEN}{a}{b}" for a, b in pairwise(ladder))
    classes = {}
    for point in moving:
        mark = chr(point)
        others = "".join(rung for rung in ladder if rung != mark)
        first = reorder(BETWEEN + mark + others).index(mark) - 1
        last = reorder(BETWEEN + others + mark).index(mark) - 1
        # A rung finds itself missing from the ladder; every other mark passes its one equal.
        assert last - first == (mark not in ladder), f"U+{point:04X} is of an unknown class"
        classes[point] = numbers[first]
    return classes


def _moving(points: list[int]) -> list[int]:
    """Return the code points that NFD moves past a mark of the lowest or the highest class."""
    found = []
    for begin in range(0, len(points), BATCH):
        chunk = [chr(point) for point in points[begin : begin + BATCH]]
        text = "".join(f"{BETWEEN}{char}{LOWEST}{BETWEEN}{HIGHEST}{char}" for char in chunk)
        ordered = NFD().normalize_str(text)
        assert len(ordered) == len(text)
        for place, char in enumerate(chunk):
            _, first, second, _, third, fourth = ordered[6 * place : 6 * place + 6]
            if (first, second) == (LOWEST, char) or (third, fourth) == (char, HIGHEST):
                found.append(ord(char))
    return found


# --- text ---


def encode_runs(values: dict[int, int]) -> str:
    """Return runs of equal values: gap since the last run, length, value; all in base 36."""
    numbers: list[int] = []
    end = 0
    for first, last, value in _runs(values):
        numbers += (first - end, last - first, value)
        end = last
    return _base36(numbers)


def _runs(values: dict[int, int]) -> Iterator[tuple[int, int, int]]:
    first = last = value = 0
    for point, current in sorted(values.items()):
        if point != last or current != value:
            if last > first:
                yield first, last, value
            first, value = point, current
        last = point + 1
    if last > first:
        yield first, last, value


def encode_mapping(mapping: Mapping) -> str:
    """Return entries: gap since the last code point, how many it becomes, and which (base 36)."""
    numbers: list[int] = []
    last = 0
    for point, parts in sorted(mapping.items()):
        numbers += (point - last, len(parts), *parts)
        last = point
    return _base36(numbers)


def _base36(numbers: Iterable[int]) -> str:
    return " ".join(map(_digits, numbers))


def _digits(number: int) -> str:
    text = ""
    while True:
        number, digit = divmod(number, 36)
        text = DIGITS[digit] + text
        if not number:
            return text


def encode(tables: Tables) -> dict[str, str]:
    """Return the tables as text, by name."""
    return {
        "properties": encode_runs(tables.properties),
        "combining": encode_runs(tables.combining),
        "lowercase": encode_mapping(tables.lowercase),
        "decomposition": encode_mapping(tables.decomposition),
    }


def read_texts(source: str) -> dict[str, str]:
    """Return the tables' texts from a generated source file, by name."""
    found = re.findall(r'(\w+?)(?:Text|_TEXT)\b[^"\n]*"""\n(.*?)"""', source, re.DOTALL)
    return {name.lower(): " ".join(text.split()) for name, text in found}


def render(template: Path, tables: dict[str, str]) -> str:
    """Return a source file: its template with the tables in it."""
    source = template.read_text(encoding="utf-8").replace("%VERSION%", tokenizers.__version__)
    for name, text in tables.items():
        assert len(text) < 65_535, "a string constant of the JVM ends here"
        source = source.replace(f"%{name}%", textwrap.fill(text, 96))
    return source


def main() -> int:
    """Write both files, or with --check say whether they are as they should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if stale")
    arguments = parser.parse_args()
    tables = encode(probe())
    stale = False
    for path, template in FILES.items():
        source = render(template, tables)
        if not path.is_file() or path.read_text(encoding="utf-8") != source:
            stale = True
            if not arguments.check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(source, encoding="utf-8")
    return int(stale and arguments.check)


if __name__ == "__main__":
    sys.exit(main())
