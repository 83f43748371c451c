"""Which layers are compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from ondevice.distill.lesson import pair_layers
from ondevice.distill.options import DataOptions, TaskOptions
from ondevice.errors import UserError


def options(layers: str, compare: str) -> TaskOptions:
    data = DataOptions((Path("train.json"),), Path("dev.json"))
    return TaskOptions("teacher", data, Path("out"), layers=layers, compare=compare)


@pytest.mark.parametrize(
    ("layers", "compare", "pairs"),
    [
        ("every-other", "all", ((0, 0), (1, 2), (2, 4))),
        ("first-3", "all", ((0, 0), (1, 1), (2, 2))),
        ("first-3", "last", ((2, 5),)),
        ("first-3", "1,3,5", ((0, 1), (1, 3), (2, 5))),
        ("first-3", "last-3", ((0, 3), (1, 4), (2, 5))),
    ],
)
def test_each_student_layer_has_a_teacher_layer(
    layers: str, compare: str, pairs: tuple[tuple[int, int], ...]
) -> None:
    assert pair_layers(options(layers, compare), 3, 6) == pairs


@pytest.mark.parametrize(
    ("layers", "compare", "message"),
    [
        ("first-3", "0,5", "--compare 0,5 names 2"),
        ("first-2", "all", "--layers first-2 names 2"),
        ("first-3", "1,3,6", "--compare: layer 6 does not exist"),
    ],
)
def test_a_choice_that_cannot_be_compared_is_named(layers: str, compare: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        pair_layers(options(layers, compare), 3, 6)


@pytest.mark.parametrize(
    ("layers", "compare", "message"),
    [
        ("first-3", "al", "'al'; --compare takes: last, all, every-other"),
        ("tpyo", "last", "'tpyo'; --layers takes: every-other"),
    ],
)
def test_a_misspelt_choice_is_refused_before_anything_is_read(
    layers: str, compare: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        options(layers, compare)
