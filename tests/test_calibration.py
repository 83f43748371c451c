"""Calibration texts: where they come from, what is refused, and what the bundle says of them."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from ondevice import calibration, models, plan
from ondevice.errors import DataError, UserError
from ondevice.plan import BuildOptions
from tests.requirements import need

CHINESE = "河流在这个国家的北部流过许多古老的城市"


@pytest.fixture
def checkpoint(tiny):
    return lambda task="qa": models.load(str(tiny("bert", task)))


def squad(path, pairs):
    """Write questions without answers: calibration needs none."""
    paragraphs = [
        {"context": context, "qas": [{"id": str(i), "question": question, "answers": []}]}
        for i, (question, context) in enumerate(pairs)
    ]
    path.write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}), encoding="utf-8")
    return path


@pytest.mark.parametrize("task", ["qa", "classify", "tokens", "embed"])
def test_the_samples_become_inputs_of_every_length(checkpoint, task):
    texts = calibration.from_samples(checkpoint(task))
    assert 0 < len(texts.examples) <= calibration.MOST_TEXTS
    for length in (16, 32):
        inputs = list(texts.inputs(length))
        assert len(inputs) == len(texts.examples)
        for one in inputs:
            assert list(one) == ["input_ids", "attention_mask", "token_type_ids"]
            assert {(array.dtype, array.shape) for array in one.values()} == {
                (np.dtype(np.int32), (1, length))
            }
            assert one["attention_mask"].sum() > 2


def test_unlabelled_questions_will_do(checkpoint, tmp_path):
    path = squad(tmp_path / "own.json", [("where is the river?", "the river is in the north")])
    texts = calibration.from_file(checkpoint(), path)
    assert (texts.source, len(texts.examples)) == ("own.json", 1)
    (inputs,) = texts.inputs(32)
    assert set(np.unique(inputs["token_type_ids"])) == {0, 1}


def test_of_a_long_file_some_are_taken_at_even_distances(checkpoint, tmp_path):
    path = tmp_path / "long.txt"
    lines = [f"the year {i}" for i in range(10 * calibration.MOST_TEXTS)]
    path.write_text("\n\n".join(lines) + "\n", encoding="utf-8")
    texts = calibration.from_file(checkpoint("classify"), path)
    assert texts.examples == tuple((line,) for line in lines[::10])


def test_the_hash_is_of_the_texts(checkpoint, tmp_path):
    given = {}
    for name, content in {"a": "the sea\n", "b": "\nthe sea", "c": "the sun\n"}.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
        given[name] = calibration.from_file(checkpoint("embed"), tmp_path / name).sha256
    assert given["a"] == given["b"] != given["c"]
    assert re.fullmatch("[0-9a-f]{64}", given["a"])


@pytest.mark.parametrize(
    ("task", "content", "sentence"),
    [
        ("qa", None, "cannot read .*given"),
        ("qa", b"", "given is not JSON"),
        ("qa", b'{"data": []}', "given holds no questions"),
        ("embed", None, "cannot read .*given"),
        ("embed", b"\n \n", "given holds no text"),
        ("embed", b"\xff\xfe\x00", r"given is not UTF-8 text \(byte 0\)"),
        ("embed", b"\xc2\xad\n", "given holds no text to calibrate on"),
    ],
)
def test_a_file_that_will_not_do_is_refused(checkpoint, tmp_path, task, content, sentence):
    if content is not None:
        (tmp_path / "given").write_bytes(content)
    with pytest.raises(DataError, match=sentence) as caught:
        calibration.from_file(checkpoint(task), tmp_path / "given")
    assert caught.value.exit_code == 2


def test_another_script_is_refused_with_its_share(checkpoint, tmp_path):
    path = tmp_path / "chinese.txt"
    path.write_text(f"{CHINESE}\nthe river\n", encoding="utf-8")
    known = checkpoint("classify")
    tokens = len(CHINESE) + 2
    share = round(100 * len(CHINESE) / tokens)
    with pytest.raises(DataError, match=rf"^{share} % of the tokens .* at most 20 % may be"):
        calibration.from_file(known, path)
    path.write_text("the river 河 is great in the north\n" * 2, encoding="utf-8")
    assert calibration.from_file(known, path).examples


@pytest.mark.parametrize(
    ("text", "spelt"),
    [
        ("Правительство вчера объявило о новых правилах охраны окружающей среды.", True),
        ("Η κυβέρνηση ανακοίνωσε χθες νέους κανόνες για το περιβάλλον.", True),
        ("정부는 어제 환경 보호를 위한 새로운 규정을 발표했다.", True),
        ("सरकार ने कल पर्यावरण संरक्षण के लिए नए नियमों की घोषणा की।", True),
        ("Rząd ogłosił wczoraj nowe przepisy dotyczące ochrony środowiska.", False),
        ("Hükümet dün çevrenin korunmasına ilişkin yeni düzenlemeleri duyurdu.", False),
        ("The river Волга is 3,530 km long and flows to the Caspian Sea.", False),
    ],
)
def test_a_script_of_which_the_vocabulary_has_the_letters_alone_is_refused(text, spelt):
    """bert-base-uncased's, which the embedded models have, knows the letters of most scripts."""
    tokenizer = models.load("student").tokenizer
    counts = calibration.token_counts([text], tokenizer)
    assert counts[tokenizer.tokenizer.token_to_id("[UNK]")] < 0.2 * counts.total()
    if not spelt:
        calibration.check_known(counts, tokenizer, "it", "calibrate")
        return
    with pytest.raises(
        DataError, match=r"^\d\d % of the tokens of it are unknown or single letters"
    ):
        calibration.check_known(counts, tokenizer, "it", "calibrate")


def test_a_byte_vocabulary_knows_every_script(tiny, tmp_path):
    path = tmp_path / "chinese.txt"
    path.write_text(CHINESE, encoding="utf-8")
    assert calibration.from_file(models.load(str(tiny("roberta", "classify"))), path).examples


def jobs(checkpoint, tmp_path, scheme, texts=None):
    options = BuildOptions(
        targets=("tflite",), schemes=(scheme,), lengths=(16,), calibration=texts, out=tmp_path
    )
    return plan.make_jobs(checkpoint, options)


def test_only_calibrated_schemes_get_texts_and_other_texts_are_another_build(checkpoint, tmp_path):
    known = checkpoint()
    path = squad(tmp_path / "own.json", [("where is the river?", "the river is in the north")])
    (plain,) = jobs(known, tmp_path, "int8")
    (samples,) = jobs(known, tmp_path, "int8-static")
    (own,) = jobs(known, tmp_path, "int8-static", path)
    (compensated,) = jobs(known, tmp_path, "int4")
    assert plain.convert_options.calibration is None
    assert samples.convert_options.calibration.source == "samples"
    assert compensated.convert_options.calibration.source == "samples"
    assert own.convert_options.calibration.source == "own.json"
    assert len({plain.key, samples.key, own.key}) == 3


def test_texts_that_nothing_would_read_are_refused(tmp_path):
    need("tflite")
    options = BuildOptions(targets=("tflite",), schemes=("int8",), calibration=tmp_path / "x.json")
    with pytest.raises(UserError, match=r"--calibration is for schemes .*: int8-static"):
        plan.check_words(options)


def test_examples_are_spread_over_the_set():
    assert calibration.spread(range(10), 4) == [0, 2, 5, 7]
    assert calibration.spread(range(3), 0) == [0, 1, 2]
    assert calibration.spread(range(3), 9) == [0, 1, 2]
