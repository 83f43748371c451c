"""Candidates: what goes together, and what is refused before anything is built."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ondevice.errors import UserError
from ondevice.search import Budget, SearchOptions
from ondevice.search import candidates as made
from ondevice.search.candidates import find_teacher, identity, load_models, make_candidates
from ondevice.targets import TARGETS
from tests.requirements import need

need("onnx")


def candidates(tiny, **options):
    chosen = {"models": (str(tiny("bert", "qa")),), "targets": ("onnx",), "lengths": ((16,),)}
    chosen["keep"] = "none"
    search = SearchOptions(**{**chosen, **options})
    return make_candidates(search, load_models(search.models))


def test_all_that_goes_together_is_a_candidate(tiny):
    models = (str(tiny("bert", "qa")), str(tiny("distilbert", "qa")))
    found = candidates(tiny, models=models, schemes=("fp32", "int8"), lengths=((16,), (16, 32)))
    assert len(found) == 2 * 2 * 2
    places = {(one.options.out, one.scheme) for one in found}
    assert len(places) == len(found), "two bundles would have one place"
    assert {one.model for one in found} == {"tiny-bert-qa", "tiny-distilbert-qa"}
    for one in found:
        assert (one.options.targets, one.options.schemes) == ((one.target,), (one.scheme,))
        assert one.options.lengths == one.lengths


def test_without_schemes_all_of_a_target_are_considered(tiny):
    assert [one.scheme for one in candidates(tiny)] == list(TARGETS["onnx"].schemes)


def test_a_scheme_that_one_of_the_targets_has_is_considered_there_alone(tiny):
    need("tflite")
    found = candidates(tiny, targets=("onnx", "tflite"), schemes=("fp32", "int8-weight"))
    assert [(one.target, one.scheme) for one in found] == [
        ("onnx", "fp32"),
        ("tflite", "fp32"),
        ("tflite", "int8-weight"),
    ]


def test_texts_go_to_the_schemes_that_look_at_some(tiny, tmp_path):
    texts = tmp_path / "texts.json"
    found = candidates(tiny, schemes=("fp32", "int8", "int4"), calibration=texts)
    given = {one.scheme: one.options.calibration for one in found}
    assert given == {"fp32": None, "int8": None, "int4": texts}


def test_what_rounds_is_considered_with_parts_in_more_bits_too(tiny, tmp_path):
    schemes = ("fp32", "int8", "int4")
    found = candidates(tiny, schemes=schemes, keep="auto")
    expected = [("fp32", ""), ("int8", ""), ("int8", "keep"), ("int4", ""), ("int4", "keep")]
    assert [(one.scheme, one.variant) for one in found] == expected
    assert {one.options.keep for one in found if one.variant} == {("auto",)}
    assert len({(one.options.out, one.scheme) for one in found}) == len(found)
    found = candidates(tiny, schemes=schemes, keep="auto", budget=Budget(max_mb=10.5))
    assert {one.options.keep for one in found if one.variant} == {("auto:10.5",)}
    texts = tmp_path / "texts.json"
    found = candidates(tiny, schemes=("int8",), keep="auto", calibration=texts)
    assert [one.options.calibration for one in found] == [None, texts]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"targets": ("corml",)}, "unknown target 'corml'; targets: coreml, .*, all"),
        ({"schemes": ("int3",)}, "unknown scheme 'int3'; schemes: fp32"),
        ({"schemes": ("fp32", "pal4")}, "no target of the search has the scheme 'pal4'; onnx: fp3"),
        (
            {"targets": ("onnx", "tflite"), "schemes": ("int8-weight",)},
            "target 'onnx' has none of the schemes int8-weight; its schemes: fp32",
        ),
        ({"lengths": ((65,),)}, "length 65 is above the checkpoint's position table"),
        ({"lengths": ((32, 16),)}, "lengths must ascend"),
        (
            {"calibration": Path("texts"), "schemes": ("fp32", "int8")},
            "--calibration is for schemes that look at texts: int8-static, int4",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(tiny, options, words):
    with pytest.raises(UserError, match=words):
        candidates(tiny, **options)


def test_a_time_that_cannot_be_measured_here_is_refused(tiny, monkeypatch):
    monkeypatch.setattr(made.platform, "system", lambda: "Linux")
    budget = Budget(max_p90_ms=50.0)
    words = "--max-p90-ms cannot be judged for 'coreml' here: Core ML runs on macOS only"
    with pytest.raises(UserError, match=words):
        candidates(tiny, targets=("onnx", "coreml"), schemes=("fp32",), budget=budget)
    assert candidates(tiny, budget=budget)
    monkeypatch.setattr(made.platform, "system", lambda: "Darwin")
    need("coreml")
    assert candidates(tiny, targets=("coreml",), budget=budget)


def test_another_task_is_refused_with_what_to_do_instead(tiny):
    with pytest.raises(UserError, match=r"is 'classify'; build its schemes with 'ondevice build"):
        load_models([str(tiny("bert", "classify"))])


def test_namesakes_are_told_apart_and_a_model_counts_once(tiny, tmp_path):
    from tests.conftest import make_checkpoint

    first = tmp_path / "a" / "student"
    shutil.copytree(tiny("bert", "qa"), first)
    second = make_checkpoint(tmp_path / "b" / "student", "bert", "qa", seed=5)
    names = [str(first), str(second), str(first)]
    found = load_models(names)
    assert [model.given for model in found] == names[:2]
    assert len({model.label for model in found}) == 2
    assert all(model.label.startswith("student-") for model in found)
    places = [
        one.options.out
        for one in make_candidates(
            SearchOptions(targets=("onnx",), schemes=("fp32",), lengths=((16,),)), found
        )
    ]
    assert len(set(places)) == 2


def test_the_same_weights_with_another_tokenizer_are_another_model(tiny, tmp_path):
    places = [tmp_path / name / "student" for name in ("a", "b")]
    for place in places:
        shutil.copytree(tiny("bert", "qa"), place)
    path = places[1] / "tokenizer_config.json"
    words = json.loads(path.read_text())
    path.write_text(json.dumps(words | {"do_lower_case": False}))
    tokenizer = places[1] / "tokenizer.json"
    if tokenizer.is_file():
        parts = json.loads(tokenizer.read_text())
        parts["normalizer"]["lowercase"] = False
        tokenizer.write_text(json.dumps(parts))
    found = load_models([str(place) for place in places])
    assert len(found) == 2
    assert len({model.label for model in found}) == 2
    assert len({identity(model.checkpoint) for model in found}) == 2
    assert found[0].checkpoint.sha256 == found[1].checkpoint.sha256


def test_the_embedded_student_s_teacher_is_known_and_no_other_s(tiny):
    wanted = SearchOptions(budget=Budget(min_retention=90.0))
    teacher = find_teacher(wanted, load_models(["student"]))
    assert teacher.given == "teacher"
    others = load_models([str(tiny("bert", "qa"))])
    with pytest.raises(UserError, match=r"none is known for .*; name it with --teacher"):
        find_teacher(wanted, others)
    assert find_teacher(SearchOptions(), others) is None
    named = SearchOptions(teacher=str(tiny("distilbert", "qa")))
    assert find_teacher(named, others).checkpoint.name == "tiny-distilbert-qa"
