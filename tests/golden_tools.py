"""BERT's tokenizer, its windows and its span choice, written a second time and the slow way."""

from __future__ import annotations

import itertools
import re
import unicodedata

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_CJK = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


def tokenize(text, vocabulary):
    """Return [(id, start, end)] of an uncased WordPiece tokenizer, places in code points."""
    found = []
    specials = "|".join(map(re.escape, SPECIALS))
    at = 0
    for match in [*re.finditer(specials, text), None]:
        end = len(text) if match is None else match.start()
        found += _plain(text[at:end], at, vocabulary)
        if match is not None:
            found.append((vocabulary[match.group()], *match.span()))
            at = match.end()
    return found


def _plain(text, shift, vocabulary):
    for word in _words(_normalize(text, shift)):
        yield from _pieces(word, vocabulary)


def _normalize(text, shift):
    """Return [(character, place of the code point that it comes from)]."""
    result = []
    for place, char in enumerate(text, shift):
        category = unicodedata.category(char)
        if char in "\t\n\r" or char.isspace():
            result.append((" ", place))
        elif char in "\0\ufffd" or category.startswith("C"):
            continue
        elif any(low <= ord(char) <= high for low, high in _CJK):
            result += [(" ", place), (char, place), (" ", place)]
        else:
            result.append((char, place))
    plain = [
        (part, place)
        for char, place in result
        for part in unicodedata.normalize("NFD", char)
        if unicodedata.category(part) != "Mn"
    ]
    return [(low, place) for char, place in plain for low in char.lower()]


def _words(characters):
    word = []
    for char, place in characters:
        alone = _is_punctuation(char)
        if char == " " or alone:
            if word:
                yield word
            word = []
            if alone:
                yield [(char, place)]
        else:
            word.append((char, place))
    if word:
        yield word


def _is_punctuation(char):
    ascii_mark = 33 <= ord(char) <= 126 and not char.isalnum()
    return ascii_mark or unicodedata.category(char).startswith("P")


def _pieces(word, vocabulary):
    text = "".join(char for char, _ in word)
    unknown = [(vocabulary["[UNK]"], word[0][1], word[-1][1] + 1)]
    if len(text) > 100:
        return unknown
    pieces, at = [], 0
    while at < len(text):
        for end in range(len(text), at, -1):
            piece = ("##" if at else "") + text[at:end]
            if piece in vocabulary:
                pieces.append((vocabulary[piece], word[at][1], word[end - 1][1] + 1))
                at = end
                break
        else:
            return unknown
    return pieces


def cut(question, context, options, vocabulary):
    """Return the windows over a pair as dicts of lists; None where question or context is empty."""
    query = [token for token, _, _ in tokenize(question, vocabulary)][: options.max_query]
    tokens = tokenize(context, vocabulary)
    if not query or not tokens:
        return None
    room = options.max_length - len(query) - 3
    step = room - min(options.doc_stride, room // 2)
    begins = [0]
    while begins[-1] + room < len(tokens):
        begins.append(begins[-1] + step)
    spans = [(begin, min(begin + room, len(tokens))) for begin in begins]
    return [
        _window(query, tokens[begin:end], vocabulary)
        | {
            "max_context": [0] * (len(query) + 2)
            + [int(_best(spans, token) == number) for token in range(begin, end)]
            + [0]
        }
        for number, (begin, end) in enumerate(spans)
    ]


def _window(query, tokens, vocabulary):
    first = len(query) + 2
    ids = [vocabulary["[CLS]"], *query, vocabulary["[SEP]"]]
    return {
        "input_ids": [*ids, *(token for token, _, _ in tokens), vocabulary["[SEP]"]],
        "token_type_ids": [0] * first + [1] * (len(tokens) + 1),
        "offsets": [(0, 0)] * first + [(begin, end) for _, begin, end in tokens] + [(0, 0)],
        "context": (first, first + len(tokens)),
    }


def _best(spans, token):
    """Return the window that shows the most context on a token's poorer side, the first of equals.

    BERT's score is min(left, right) + 0.01 · length.
    """
    scores = [
        (-(100 * min(token - begin, end - 1 - token) + end - begin), number)
        for number, (begin, end) in enumerate(spans)
        if begin <= token < end
    ]
    return min(scores)[1]


def decode(windows, context, options):
    """Try every span; return [(score, start, end, text)], best first.

    `windows` are (context range, offsets, max-context, start logits, end logits).
    """
    spans = []
    for number, ((first, last), _, marks, starts, ends) in enumerate(windows):
        for start, end in itertools.product(range(first, last), repeat=2):
            if start <= end < start + options.max_answer and marks[start]:
                spans.append((-(starts[start] + ends[end]), number, start, end))
    chosen = sorted(spans)[: options.n_best]
    found = []
    for score, number, start, end in chosen:
        offsets = windows[number][1]
        begin, stop = offsets[start][0], offsets[end][1]
        found.append((-score, begin, stop, context[begin:stop]))
    return found
