"""Names of parts: what the graph has, what patterns choose, and the word for a bundle's name."""

from __future__ import annotations

import pytest

from ondevice import models, parts
from ondevice.errors import UserError
from tests.conftest import ARCHITECTURE_NAMES, TASK_NAMES
from tests.requirements import need

need("checkpoint")


@pytest.fixture(scope="module")
def bert(tiny):
    checkpoint = models.load(str(tiny("bert", "qa")))
    return parts.part_names(checkpoint.encoder, checkpoint.head)


@pytest.mark.parametrize("architecture", ARCHITECTURE_NAMES)
@pytest.mark.parametrize("task", TASK_NAMES)
def test_parts_are_the_matrices_of_the_graph(tiny, architecture, task):
    from ondevice import graph

    checkpoint = models.load(str(tiny(architecture, task)))
    named = dict(graph.from_checkpoint(checkpoint).module.named_parameters())
    names = parts.part_names(checkpoint.encoder, checkpoint.head)
    matrices = {name for name, weight in named.items() if weight.dim() == 2}
    assert {f"{name}.weight" for name in names} == matrices - {"embeddings.positions"}
    for name in names:
        shape = parts.shape_of(checkpoint.encoder, checkpoint.head, name)
        assert shape == tuple(named[f"{name}.weight"].shape), name


def test_parts_come_in_the_order_of_their_use(bert):
    assert bert[0] == "embeddings.words"
    assert bert[-1] == "head.scores"
    assert bert.index("layers.0.contract") < bert.index("layers.1.attention.query")


@pytest.mark.parametrize(
    ("patterns", "chosen"),
    [
        (("layers.0.contract",), ("layers.0.contract",)),
        (("embeddings",), ("embeddings.words",)),
        (("layers.*.contract",), ("layers.0.contract", "layers.1.contract")),
        (
            ("layers.1.attention",),
            tuple(f"layers.1.attention.{part}" for part in ("query", "key", "value", "output")),
        ),
        (("head.scores", "embeddings.words", "head"), ("embeddings.words", "head.scores")),
        (("layers.[1-9].expand",), ("layers.1.expand",)),
    ],
)
def test_patterns_choose_parts(bert, patterns, chosen):
    assert parts.choose(patterns, bert) == chosen


def test_a_module_is_all_that_it_holds(bert):
    layer = parts.choose(["layers.0"], bert)
    assert len(layer) == 6
    assert all(name.startswith("layers.0.") for name in layer)
    assert parts.choose(["*"], bert) == bert


@pytest.mark.parametrize(
    "pattern", ["layers.2", "contract", "layers.0.contract.weight", "Layers.0"]
)
def test_an_unknown_part_is_answered_with_those_there_are(bert, pattern):
    with pytest.raises(UserError, match="no part") as caught:
        parts.choose(["embeddings.words", pattern], bert)
    sentence = str(caught.value)
    assert f"'{pattern}'" in sentence
    assert "embeddings.words, layers.(0…1).attention.query" in sentence


def test_the_word_in_a_name_depends_on_the_parts_alone(bert):
    assert parts.label(()) == ""
    one = parts.label(parts.choose(["layers.0", "head"], bert))
    assert one == parts.label(parts.choose(["head.*", "layers.0.*"], bert))
    assert one != parts.label(parts.choose(["layers.1", "head"], bert))
    assert one.startswith("-keep-")
    assert len(one) == len("-keep-") + 6
