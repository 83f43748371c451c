"""Attention in float32 under bf16 autocast."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertForQuestionAnswering, PreTrainedModel

from ondevice.distill import attention, engine
from ondevice.distill.options import TrainOptions


@pytest.fixture
def model() -> PreTrainedModel:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=50,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        attn_implementation="sdpa",
    )
    return BertForQuestionAnswering(config).eval()


def states(model: PreTrainedModel, bf16: bool = False) -> torch.Tensor:
    ids = torch.arange(2, 22).reshape(2, 10)
    mask = torch.ones_like(ids)
    mask[1, 6:] = 0  # padding, which must stay without effect
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        output = model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
    last: torch.Tensor = output.hidden_states[-1][mask.bool()]
    return last.float()


def test_it_is_sdpa_with_its_mask(model: PreTrainedModel) -> None:
    before = states(model)
    attention.use_float32(model)
    assert model.config._attn_implementation == attention.NAME
    assert torch.equal(states(model), before)


def test_it_attends_in_float32_under_autocast(
    model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[torch.dtype] = []
    plain = torch.nn.functional.scaled_dot_product_attention

    def watched(*states: torch.Tensor, **options: object) -> torch.Tensor:
        output = plain(*states, **options)  # type: ignore[arg-type]
        made.append(output.dtype)
        return output

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", watched)
    states(model, bf16=True)
    attention.use_float32(model)
    rounded = states(model, bf16=True)
    assert made == [torch.bfloat16] * 2 + [torch.float32] * 2
    assert (rounded - states(model)).abs().max() < 0.1


def test_only_bf16_on_cpus_asks_for_it(model: PreTrainedModel, tmp_path: Path) -> None:
    engine.adapt(model, TrainOptions())
    assert model.config._attn_implementation == "sdpa"
    if engine.connect().type == "cpu":
        engine.adapt(model, TrainOptions(precision="bf16"))
        assert model.config._attn_implementation == attention.NAME
    model.save_pretrained(tmp_path)
    assert attention.NAME not in json.dumps(json.loads((tmp_path / "config.json").read_text()))


def test_eager_attention_stays_eager(model: PreTrainedModel) -> None:
    model.set_attn_implementation("eager")
    engine.adapt(model, TrainOptions(precision="bf16"))
    assert model.config._attn_implementation == "eager"
