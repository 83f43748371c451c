"""Running a bundle: the right length for each window, the same answers as the parts give."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ondevice import build, console, models
from ondevice.errors import DataError, RuntimeUnavailableError, UserError
from ondevice.inference import Model, answer
from ondevice.plan import BuildOptions
from ondevice.targets import TARGETS
from ondevice.tasks import features, qa
from ondevice.verify import reference
from tests.conftest import make_checkpoint
from tests.requirements import need

QUESTION = "where is the river?"
SHORT = "the river is in the north"
LONG = " ".join(f"the river number {i} is in the north of the old country." for i in range(9))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A question-answering bundle for ONNX Runtime, lengths 16, 32 and 64."""
    need("onnx")
    root = tmp_path_factory.mktemp("inference")
    make_checkpoint(root / "tiny", "bert", "qa")
    options = BuildOptions(
        model=str(root / "tiny"),
        targets=("onnx",),
        schemes=("fp32",),
        lengths=(16, 32, 64),
        out=root / "out",
    )
    (built,) = build.run(options, console.Progress())
    assert not built.failure
    return built.job.place


@pytest.fixture(scope="module")
def model(place):
    return Model.open(place)


class Recorded:
    """A runner that notes the length of each input."""

    runtime, version = "recorded", "1"

    def __init__(self, runner):
        self.runner, self.lengths = runner, []

    def run(self, inputs):
        self.lengths.append(inputs["input_ids"].shape[1])
        return self.runner.run(inputs)


def test_a_window_runs_at_the_shortest_length_that_it_fits(model):
    recorded = Recorded(model.runner)
    reply = dataclasses.replace(model, runner=recorded).ask(QUESTION, SHORT)
    assert reply.lengths == (16,)
    assert recorded.lengths == [16]
    recorded.lengths.clear()
    reply = dataclasses.replace(model, runner=recorded).ask(QUESTION, LONG)
    assert len(reply.lengths) > 1
    assert reply.lengths[0] == 64
    assert recorded.lengths == list(reply.lengths)


@pytest.mark.parametrize("context", [SHORT, LONG])
def test_the_answer_is_the_checkpoints(place, model, context):
    checkpoint = models.load(str(place.parent.parent / "tiny"))
    network = reference.load_model(checkpoint)
    options = qa.QAOptions(**model.manifest.window.model_dump())
    expected = answer(
        lambda inputs: reference.run_model(network, "qa", inputs),
        checkpoint.tokenizer,
        QUESTION,
        context,
        options=options,
    )
    reply = model.ask(QUESTION, context)
    assert [(a.start, a.end) for a in reply.answers] == [(a.start, a.end) for a in expected.answers]
    assert reply.answers[0].score == pytest.approx(expected.answers[0].score, abs=1e-3)
    assert reply.answers[0].text == context[reply.answers[0].start : reply.answers[0].end]


def test_each_stage_is_timed(model):
    timing = model.ask(QUESTION, LONG).timing
    assert min(timing.tokenize, timing.infer, timing.decode) > 0


@pytest.mark.parametrize(
    ("question", "context", "words"),
    [("", SHORT, "question is empty"), (QUESTION, "", "context is empty")],
)
def test_nothing_to_read_is_an_error(model, question, context, words):
    with pytest.raises(DataError, match=words):
        model.ask(question, context)


def test_another_task_cannot_be_asked(model):
    other = dataclasses.replace(model, manifest=model.manifest.model_copy(update={"task": "embed"}))
    with pytest.raises(UserError, match="the bundle's task is 'embed'"):
        other.ask(QUESTION, SHORT)


def test_a_target_of_another_system_names_those_that_run_here(place, monkeypatch):
    def unavailable(*_: object, **__: object) -> None:
        raise RuntimeUnavailableError("it needs a Mac")

    away = dataclasses.replace(TARGETS["onnx"], load=unavailable, systems=("Elsewhere",))
    monkeypatch.setitem(TARGETS, "onnx", away)
    with pytest.raises(RuntimeUnavailableError) as caught:
        Model.open(place)
    assert str(caught.value).startswith("it needs a Mac; here, build another target: ondevice")
    assert "onnx" not in str(caught.value)


def test_padding_is_the_same_in_every_place(model):
    tokenizer = model.tokenizer
    encoded = model.encode(QUESTION, SHORT)
    (window,) = qa.windows(tokenizer.tokenizer, QUESTION, SHORT, qa.QAOptions.for_length(64))
    batch = qa.batch([window], length=16, pad_id=tokenizer.pad_id)
    assert encoded.keys() == batch.keys()
    for name, array in batch.items():
        np.testing.assert_array_equal(encoded[name], array)


def test_a_long_text_is_cut_and_keeps_its_end(model):
    ids, types = features.encode(model.tokenizer.tokenizer, LONG, None, 16)
    assert len(ids) == len(types) == 16
    assert ids[-1] == model.tokenizer.tokenizer.token_to_id("[SEP]")
    assert model.encode(LONG)["input_ids"].shape == (1, 64)


def test_padding_takes_the_tokenizers_own_id():
    arrays = features.pad([([5, 6], [0, 1]), ([7], [0])], 3, 9)
    assert arrays["input_ids"].tolist() == [[5, 6, 9], [7, 9, 9]]
    assert arrays["attention_mask"].tolist() == [[1, 1, 0], [1, 0, 0]]
    assert arrays["token_type_ids"].tolist() == [[0, 1, 0], [0, 0, 0]]
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.int32)}
