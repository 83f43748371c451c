"""Layer choice and initialisation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers

from ondevice.distill.student import initialise, numbered_layers, parse_layers
from ondevice.errors import CheckpointError, UserError


@pytest.mark.parametrize(
    ("text", "depth", "layers"),
    [
        ("every-other", 6, (0, 2, 4)),
        ("every-other", 12, (0, 2, 4, 6, 8, 10)),
        ("every-other", 5, (0, 2, 4)),
        ("first-2", 6, (0, 1)),
        ("last-2", 6, (4, 5)),
        ("0,2,4", 6, (0, 2, 4)),
        ("3", 4, (3,)),
    ],
)
def test_layer_choices(text: str, depth: int, layers: tuple[int, ...]) -> None:
    assert parse_layers(text, depth) == layers


@pytest.mark.parametrize("text", ["some", "first-0", "last-7", "6", "2,1", "1,1", "1,,2", "", "-1"])
def test_bad_layer_choices_say_what_there_is(text: str) -> None:
    with pytest.raises(UserError):
        parse_layers(text, 6)


def inputs(token_types: bool) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    mask = torch.ones(2, 12, dtype=torch.long)
    mask[1, 8:] = 0
    found = {"input_ids": torch.randint(5, 60, (2, 12)), "attention_mask": mask}
    if token_types:
        found["token_type_ids"] = torch.zeros(2, 12, dtype=torch.long)
    return found


def load(directory: Path, kind: str) -> transformers.PreTrainedModel:
    auto = {
        "qa": transformers.AutoModelForQuestionAnswering,
        "classify": transformers.AutoModelForSequenceClassification,
        "tokens": transformers.AutoModelForTokenClassification,
        "embed": transformers.AutoModel,
    }[kind]
    return auto.from_pretrained(directory).eval()


@pytest.mark.parametrize("task", ["qa", "tokens"])
def test_distilbert_student_with_all_layers_is_its_teacher(
    tiny: Callable[[str, str], Path], task: str
) -> None:
    """With every layer kept and type-0 tokens, nothing is lost: the outputs are the teacher's."""
    teacher = load(tiny("bert", task), task)
    student = initialise(teacher, (0, 1), "distilbert").eval()
    assert student.config.model_type == "distilbert"
    assert not any("token_type" in name or "pooler" in name for name in student.state_dict())
    with torch.no_grad():
        ours, theirs = student(**inputs(False)), teacher(**inputs(True))
    for name in ("start_logits", "end_logits") if task == "qa" else ("logits",):
        # The sum of embeddings is associated differently: float32 rounding, nothing more.
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("architecture", ["bert", "distilbert", "roberta", "electra"])
def test_same_kind_with_all_layers_is_its_teacher(
    tiny: Callable[[str, str], Path], architecture: str
) -> None:
    teacher = load(tiny(architecture, "qa"), "qa")
    student = initialise(teacher, (0, 1), "same").eval()
    given = inputs(architecture in {"bert", "electra"})
    with torch.no_grad():
        assert torch.equal(student(**given).start_logits, teacher(**given).start_logits)


def test_chosen_layers_are_copied_in_order(tiny: Callable[[str, str], Path]) -> None:
    teacher = load(tiny("bert", "qa"), "qa")
    student = initialise(teacher, (1,), "same")
    assert student.config.num_hidden_layers == 1
    ours = student.bert.encoder.layer[0].state_dict()
    for name, tensor in teacher.bert.encoder.layer[1].state_dict().items():
        assert torch.equal(ours[name], tensor)
    assert torch.equal(student.qa_outputs.weight, teacher.qa_outputs.weight)


def test_the_student_does_not_share_memory_with_its_teacher(
    tiny: Callable[[str, str], Path],
) -> None:
    teacher = load(tiny("bert", "qa"), "qa")
    before = teacher.qa_outputs.weight.clone()
    student = initialise(teacher, (0,), "same")
    with torch.no_grad():
        student.qa_outputs.weight.zero_()
    assert torch.equal(teacher.qa_outputs.weight, before)


@pytest.mark.parametrize("task", ["classify", "embed"])
def test_other_heads_become_distilbert(tiny: Callable[[str, str], Path], task: str) -> None:
    teacher = load(tiny("bert", task), task)
    student = initialise(teacher, (1,), "distilbert").eval()
    with torch.no_grad():
        student(**inputs(False))


def test_masked_lm_teacher_becomes_distilbert() -> None:
    config = transformers.BertConfig(
        vocab_size=60,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=16,
    )
    teacher = transformers.BertForMaskedLM(config).eval()
    with torch.no_grad():
        teacher.cls.predictions.bias.copy_(torch.randn(60))
    student = initialise(teacher, (0, 1), "distilbert").eval()
    with torch.no_grad():
        ours, theirs = student(**inputs(False)).logits, teacher(**inputs(True)).logits
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    assert student.vocab_projector.weight is student.distilbert.embeddings.word_embeddings.weight


def test_only_bert_becomes_distilbert(tiny: Callable[[str, str], Path]) -> None:
    with pytest.raises(CheckpointError, match="--kind same"):
        initialise(load(tiny("electra", "qa"), "qa"), (0,), "distilbert")


def test_records_hold_every_other_layer_by_number() -> None:
    assert numbered_layers("every-other", 6) == "0,2,4"
    assert numbered_layers("first-3", 6) == "first-3"
    with pytest.raises(UserError, match="layer 7 does not exist"):
        numbered_layers("0,7", 6)
