"""Whole Core ML programs against their checkpoints: every architecture and task.

The expected outputs are transformers' own, not this project's graph: a mistake that the graph and
the program share shows here. Schemes of fewer than eight bits have their own tests with the target:
they move random weights of width 32 further than they may a real model's.
"""

from __future__ import annotations

import pytest

from ondevice import graph, models
from ondevice.schemes import SCHEMES
from ondevice.targets.base import ConvertOptions, Labels
from ondevice.targets.coreml import COREML
from ondevice.verify import parity, reference
from ondevice.verify.mil import runner
from tests.requirements import need
from tests.targets.conftest import make_grid

LENGTH = 16
EIGHT_BITS_AND_MORE = ("fp32", "fp16", "int8")


@pytest.fixture(scope="module")
def asked(tiny):
    """Return a function from (architecture, task) to a graph and the checkpoint's answers."""
    made = {}

    def get(architecture, task):
        if (architecture, task) not in made:
            checkpoint = models.load(str(tiny(architecture, task)))
            cases = reference.make_cases(checkpoint, (LENGTH,))
            made[architecture, task] = graph.from_checkpoint(checkpoint, COREML.form()), cases
        return made[architecture, task]

    return get


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "task", "scheme"), make_grid(EIGHT_BITS_AND_MORE))
def test_a_program_computes_what_its_checkpoint_computes(
    asked, tmp_path, architecture, task, scheme
):
    need("coreml")
    built, cases = asked(architecture, task)
    path = tmp_path / COREML.file
    options = ConvertOptions(scheme, (LENGTH,), Labels("tiny", task, "us", "mit", "1"))
    COREML.convert(built, options, path)
    opened = runner.load(path, built.outputs)
    limit = SCHEMES[scheme].limit
    (found,) = parity.check(opened, cases, built.inputs, task, limit, "reference")
    assert found.status == "passed", found.reason
