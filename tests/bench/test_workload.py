"""The texts of a pass fill their length, and a pass runs at that length only."""

from __future__ import annotations

import numpy as np
import pytest

from ondevice import models
from ondevice.bench import workload
from ondevice.tasks import features, qa
from ondevice.tokenizer import read_tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return read_tokenizer(models.EMBEDDED["minilm"]())


@pytest.mark.parametrize("length", [16, 32, 64, 128, 384, 512])
def test_a_pair_fills_one_window(tokenizer, length):
    question, context = workload.full_pair(tokenizer, length)
    options = qa.QAOptions.for_length(length)
    (window,) = qa.windows(tokenizer.tokenizer, question, context, options)
    assert length - 4 <= len(window) <= length


@pytest.mark.parametrize("length", [16, 128, 512])
def test_a_text_fills_its_length(tokenizer, length):
    text = workload.full_text(tokenizer, ("Plants make food.",), length)
    ids, _ = features.encode(tokenizer.tokenizer, text, None, 10 * length)
    assert length - 4 <= len(ids) <= length


class Recorded:
    def __init__(self, *roles):
        self.roles, self.inputs = roles, []

    def __call__(self, inputs):
        self.inputs.append(inputs)
        shape = inputs["input_ids"].shape
        return {role: np.zeros(shape, np.float32) for role in self.roles}


@pytest.mark.parametrize(("task", "roles"), [("qa", ("start", "end")), ("embed", ("embedding",))])
def test_a_pass_is_one_run_at_its_length_and_tokenizes_each_time(
    tokenizer, task, roles, monkeypatch
):
    run = Recorded(*roles)
    subject = workload.Subject(task, tokenizer, run)
    make = subject.passes_at(64)
    calls = []
    for name in ("encode", "windows"):
        original = getattr(features, name)
        place = qa if name == "windows" else features
        monkeypatch.setattr(
            place, name, lambda *a, original=original, **n: calls.append(1) or original(*a, **n)
        )
    for count in (1, 2):
        found = make()
        assert len(run.inputs) == len(calls) == count
        assert run.inputs[-1]["input_ids"].shape == (1, 64)
        assert run.inputs[-1]["attention_mask"].sum() >= 60
        assert min(found.tokenize, found.infer) > 0
        assert (found.decode is None) == (task == "embed")
        assert found.total == found.tokenize + found.infer + (found.decode or 0)


def test_a_question_runs_at_the_lengths_that_it_is_given(tokenizer):
    run = Recorded("start", "end")
    subject = workload.Subject("qa", tokenizer, run)
    options = qa.QAOptions.for_length(64)
    assert subject.ask("where?", "here", options, (16, 64)).lengths == (16,)
    assert subject.ask("where?", "here", options, (64,)).lengths == (64,)
    long = subject.ask("where?", "here and there " * 40, options, (16, 64))
    assert set(long.lengths) <= {16, 64}
    assert [one["input_ids"].shape[1] for one in run.inputs] == [16, 64, *long.lengths]
