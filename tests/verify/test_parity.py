"""Parity sees what it must: a difference, NaN, a dead output, a swapped one."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ondevice import models
from ondevice.schemes import ParityLimit
from ondevice.verify import parity, reference

FP32 = ParityLimit(max_abs=1e-4)
INT8 = ParityLimit(min_cosine=0.99)
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class FakeRunner:
    """Answers with the reference's outputs, changed."""

    runtime, version = "fake", "1"

    def __init__(self, cases, change):
        self.cases, self.change = cases, change

    def run(self, inputs):
        case = next(case for case in self.cases if case.inputs["input_ids"] is inputs["input_ids"])
        return self.change({role: values.copy() for role, values in case.outputs.items()})


@pytest.fixture(scope="module")
def cases(tiny_module):
    return reference.make_cases(models.load(str(tiny_module("bert", "qa"))), (16, 32))


@pytest.fixture(scope="module")
def tiny_module(tmp_path_factory):
    from tests.conftest import make_checkpoint

    root = tmp_path_factory.mktemp("parity")
    return lambda name, task: make_checkpoint(root / f"{name}-{task}", name, task)


def check(cases, change, limit=FP32):
    return parity.check(FakeRunner(cases, change), cases, INPUTS, "qa", limit)


def test_cases_are_real_text_padded_and_full(cases):
    for length in (16, 32):
        valid = sorted(case.valid for case in cases if case.length == length)
        assert valid[-1] == length
        assert valid[0] <= length // 2
        assert all(len(set(case.inputs["input_ids"][0].tolist())) > 4 for case in cases)


def test_equal_outputs_pass_at_every_length(cases):
    rows = check(cases, lambda outputs: outputs)
    assert [row.length for row in rows] == [16, 32]
    assert {row.status for row in rows} == {"passed"}
    assert all(row.max_abs == 0 and row.cosine == pytest.approx(1) for row in rows)
    assert all(row.evidence == "host" and row.runtime == "fake" for row in rows)


def test_a_difference_above_the_limit_fails_with_the_figure(cases):
    def shift(outputs):
        outputs["end"][0, 0] += 0.5
        return outputs

    rows = check(cases, shift)
    assert {row.status for row in rows} == {"failed"}
    assert "0.5" in rows[0].reason


def test_nan_fails_even_under_a_cosine_limit(cases):
    def poison(outputs):
        outputs["start"][0, 1] = np.nan
        return outputs

    rows = check(cases, poison, INT8)
    assert {row.status for row in rows} == {"failed"}
    assert "NaN" in rows[0].reason
    assert rows[0].max_abs is None


def test_a_constant_output_fails_even_with_no_other_limit(cases):
    def kill(outputs):
        outputs["start"][:] = 3.0
        return outputs

    rows = check(cases, kill, ParityLimit(min_cosine=-1.0))
    assert {row.status for row in rows} == {"failed"}
    assert "dead" in rows[0].reason


def test_nan_in_padding_fails(cases):
    padded = [case for case in cases if case.valid < case.length]

    def poison(outputs):
        outputs["start"][0, -1] = np.nan
        return outputs

    rows = parity.check(FakeRunner(padded, poison), padded, INPUTS, "qa", INT8)
    assert {row.status for row in rows} == {"failed"}


def test_nan_in_the_checkpoint_itself_fails(cases):
    spoiled = [
        dataclasses.replace(case, outputs={**case.outputs, "end": case.outputs["end"] * np.nan})
        for case in cases
    ]
    rows = parity.check(FakeRunner(cases, lambda o: o), spoiled, INPUTS, "qa", INT8)
    assert {row.status for row in rows} == {"failed"}
    assert "checkpoint's own" in rows[0].reason


def test_a_checkpoint_that_is_dead_itself_fails(cases):
    dead = [
        dataclasses.replace(case, outputs={r: np.ones_like(v) for r, v in case.outputs.items()})
        for case in cases
    ]
    rows = parity.check(FakeRunner(dead, lambda o: o), dead, INPUTS, "qa", FP32)
    assert {row.status for row in rows} == {"failed"}


def test_another_type_or_shape_fails(cases):
    double = lambda o: {role: values.astype(np.float64) for role, values in o.items()}  # noqa: E731
    assert "float64" in check(cases, double)[0].reason
    longer = lambda o: {role: np.pad(values, ((0, 0), (0, 1))) for role, values in o.items()}  # noqa: E731
    assert "shape" in check(cases, longer)[0].reason


def test_swapped_outputs_fail(cases):
    rows = check(cases, lambda o: {"start": o["end"], "end": o["start"]}, INT8)
    assert {row.status for row in rows} == {"failed"}


def test_weights_scaled_a_little_fail_in_fp32_and_pass_as_int8(cases):
    scaled = lambda o: {role: values * 1.02 for role, values in o.items()}  # noqa: E731
    assert {row.status for row in check(cases, scaled)} == {"failed"}
    assert {row.status for row in check(cases, scaled, INT8)} == {"passed"}


@pytest.mark.parametrize("factor", [7.0, 0.5, 1.2])
def test_a_common_factor_fails_though_the_cosine_does_not_see_it(cases, factor):
    scaled = lambda o: {role: values * np.float32(factor) for role, values in o.items()}  # noqa: E731
    rows = check(cases, scaled, INT8)
    assert {row.status for row in rows} == {"failed"}
    assert rows[0].cosine == pytest.approx(1.0)
    assert f"norms differ by {100 * abs(factor - 1):.3g} %, the limit is 14.1 %" in rows[0].reason
    assert rows[0].limit == "cosine ≥ 0.99, norm ±14 %"


def test_scores_of_padding_are_left_out(cases):
    padded = [case for case in cases if case.valid < case.length]

    def spoil(outputs):
        outputs["start"][0, -1] = 1e6
        return outputs

    rows = parity.check(FakeRunner(padded, spoil), padded, INPUTS, "qa", FP32)
    assert {row.status for row in rows} == {"passed"}


def test_a_check_that_did_not_run_says_so():
    rows = parity.not_run("coreml", (128, 384), FP32, "Core ML runs on macOS only")
    assert {row.status for row in rows} == {"not_run"}
    assert {row.evidence for row in rows} == {"not run"}
    assert rows[0].max_abs is None
    assert "macOS" in rows[0].reason


def test_a_limit_that_limits_nothing_is_refused():
    with pytest.raises(ValueError, match="pass anything"):
        ParityLimit()


def test_an_artifact_gets_the_inputs_that_it_takes_and_no_others(cases):
    class Strict(FakeRunner):
        def run(self, inputs):
            assert set(inputs) == {"input_ids", "attention_mask"}
            return super().run(inputs)

    names = ("input_ids", "attention_mask")
    rows = parity.check(Strict(cases, lambda o: o), cases, names, "qa", FP32)
    assert {row.status for row in rows} == {"passed"}
