"""100,000 strings of any Unicode to each core: not one answer may differ from Python's."""

from __future__ import annotations

import random

import hypothesis
import pytest
from hypothesis import strategies as st

from ondevice.tasks.qa import QAOptions
from tests.mobile import texts
from tests.mobile.conftest import MODES
from tests.mobile.cores import CORES
from tests.mobile.reference import difference

BATCHES, SIZE = 200, 500
PAIRS = 3000

SLOW = hypothesis.settings(
    max_examples=BATCHES,
    deadline=None,
    # A seed does not shrink; the failing text is made smaller below.
    phases=[hypothesis.Phase.generate],
    database=None,
)


def tokenize(text):
    return {"op": "tokenize", "text": text}


def differs(core, reference, text):
    return difference(core.ask(tokenize(text)), reference.ask(tokenize(text)))


def smallest(core, reference, text):
    """Leave out characters as long as the answers still differ."""
    at = 0
    while at < len(text):
        shorter = text[:at] + text[at + 1 :]
        if differs(core, reference, shorter):
            text = shorter
        else:
            at += 1
    return text


@pytest.mark.slow
@pytest.mark.parametrize("name", CORES)
def test_a_hundred_thousand_strings(name, cores, references, vocab):
    asked = 0

    @hypothesis.given(seed=st.integers(0, 2**64 - 1), mode=st.sampled_from(list(MODES)))
    @SLOW
    def batch(seed, mode):
        nonlocal asked
        core, reference = cores.get(name, "--vocab", vocab, *MODES[mode]), references(*mode)
        source = random.Random(seed)
        strings = [texts.random_text(source, source.randrange(1, 25)) for _ in range(SIZE)]
        answers = core.ask_all([tokenize(text) for text in strings])
        for text, answer in zip(strings, answers, strict=True):
            if difference(answer, reference.ask(tokenize(text))):
                text = smallest(core, reference, text)
                pytest.fail(f"{name}, {mode}: {text!a}: {differs(core, reference, text)}")
        asked += SIZE

    batch()
    assert asked >= 100_000


@pytest.mark.slow
@pytest.mark.parametrize("name", CORES)
def test_passages_questions_and_window_sizes(name, cores, references, vocab):
    source = random.Random(7)
    core, reference = cores.get(name, "--vocab", vocab), references(True, True)
    requests = []
    for _ in range(PAIRS):
        length = source.randrange(13, 120)
        options = vars(QAOptions.for_length(length)) | {
            "doc_stride": source.randrange(length),
            "max_query": source.randrange(1, length - 11),
        }
        del options["null_threshold"]
        requests.append(
            {
                "op": "windows",
                "question": texts.random_text(source, source.randrange(20)),
                "context": texts.random_text(source, source.randrange(200)),
                "options": options,
            }
        )
    kinds = set()
    for request, answer in zip(requests, core.ask_all(requests), strict=True):
        wanted = reference.ask(request)
        found = difference(answer, wanted)
        assert found is None, f"{name}: {request!a}: {found}"
        kinds.add(wanted.get("error") or min(len(wanted["windows"]), 2))
    assert kinds == {"empty_question", "empty_context", 1, 2}
