"""Pictures: what is on them, what is marked, and that different questions are not mixed."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from types import SimpleNamespace

import pytest

from ondevice.search import pictures
from tests.requirements import need
from tests.search.made import contender, right


def found(*contenders, chosen=None):
    targets = dict.fromkeys(one.candidate.target for one in contenders)
    return SimpleNamespace(
        chosen=dict.fromkeys(targets, chosen),
        contenders=contenders,
        of_target=lambda target: [one for one in contenders if one.candidate.target == target],
    )


@pytest.fixture
def drawn():
    need("report")
    small = contender("int8", 20.0, f1=right(0.7), own=right(0.72), teacher=right(0.8), p90=40.0)
    large = contender("fp32", 80.0, f1=right(0.72), own=right(0.72), teacher=right(0.8), p90=90.0)
    early = contender("int4", 10.0, f1=0.5, own=0.75, count=30)
    small.outcome = "chosen"
    return pictures.draw(found(small, large, early, chosen=small))


def texts(plot):
    root = ElementTree.fromstring(plot.svg)
    return ["".join(one.itertext()) for one in root.iter("{http://www.w3.org/2000/svg}text")]


def test_size_and_latency_are_drawn_and_teacher_student_and_choice_marked(drawn):
    assert [plot.key for plot in drawn] == ["pareto-size", "pareto-latency"]
    for plot in drawn:
        assert plot.png.startswith(b"\x89PNG\r\n\x1a\n")
        words = texts(plot)
        assert "teacher 80.0" in words
        assert "student, fp32 in PyTorch 72.1" in words
        assert "onnx int8" in words
        assert "chosen" in words
        assert "onnx student int8 L384 F1 70.0 at" in plot.alt
        assert plot.alt.count(", chosen") == 1


def test_one_that_left_early_is_drawn_by_what_it_lost(drawn):
    size, latency = drawn
    # 25 points less than its checkpoint, which has 72.1 on all questions.
    assert "onnx student int4 L384 F1 47.1 at 10.0" in size.alt
    assert "int4" not in latency.alt, "it was not timed"
    assert "left early" in texts(size)
    assert "left early" not in texts(latency)


def test_targets_that_were_asked_other_questions_have_pictures_of_their_own():
    need("report")
    host = contender("int8", 20.0, f1=right(0.7), own=right(0.72))
    other = contender("int8", 19.0, f1=right(0.6, 60), own=right(0.7, 60), count=60)
    other.candidate = SimpleNamespace(
        target="coreml", model="student", scheme="int8", variant="", label="student int8 L384"
    )
    assert [plot.key for plot in pictures.draw(found(host, other))] == [
        "pareto-size-onnx",
        "pareto-size-coreml",
    ]


def test_what_has_no_figures_has_no_pictures():
    need("report")
    assert pictures.draw(found(contender("int8"))) == []


def test_names_of_marks_near_each_other_do_not_lie_on_each_other():
    need("report")
    ours = [contender("int4", 9.9 + n / 50, f1=0.7 + n / 1000, own=0.72) for n in range(3)]
    for number, one in enumerate(ours):
        one.candidate = replace(one.candidate, target=f"target{number}")
        one.outcome = "chosen"
    far = contender("fp32", 80.0, f1=0.72, own=0.72)
    (plot,) = pictures.draw(found(*ours, far))
    root = ElementTree.fromstring(plot.svg)
    heights = {
        "".join(one.itertext()): float(one.get("y") or one.get("transform").split()[-1].strip(")"))
        for one in root.iter("{http://www.w3.org/2000/svg}text")
        if "int4" in "".join(one.itertext())
    }
    assert list(heights) == ["target2 int4", "target1 int4", "target0 int4"]
    places = list(heights.values())
    assert all(below - above > 9 for above, below in itertools.pairwise(places)), places
