"""Each loss against a few lines of brute force."""

from __future__ import annotations

import math

import pytest
import torch

from ondevice.distill import losses

torch.manual_seed(0)
B, L, C, H = 3, 7, 5, 4


def softmax(values: list[float]) -> list[float]:
    top = max(values)
    exponents = [math.exp(value - top) for value in values]
    return [value / sum(exponents) for value in exponents]


def mask() -> torch.Tensor:
    chosen = torch.rand(B, L) > 0.4
    chosen[:, 0] = True
    return chosen


def kl(p: list[float], q: list[float]) -> float:
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a > 0)


def test_span_loss() -> None:
    logits, allowed = torch.randn(B, L, 2), mask()
    targets = torch.zeros(B, L, 2)
    targets[0, 0] = 1.0
    places = allowed[1].nonzero()[:, 0]
    targets[1, places[0], 0], targets[1, places[-1], 0] = 0.25, 0.75
    targets[1, places[-1], 1] = 1.0  # the third row is unlabelled
    total = 0.0
    for row in range(2):
        for side in range(2):
            where = allowed[row].nonzero()[:, 0].tolist()
            probabilities = softmax([float(logits[row, i, side]) for i in where])
            for i, p in zip(where, probabilities, strict=True):
                total -= float(targets[row, i, side]) * math.log(p)
    assert float(losses.span_loss(logits, targets, allowed)) == pytest.approx(total / 4, rel=1e-5)


def test_span_loss_without_labels_is_zero_and_has_a_gradient() -> None:
    logits = torch.randn(B, L, 2, requires_grad=True)
    loss = losses.span_loss(logits, torch.zeros(B, L, 2), mask())
    loss.backward()
    assert loss.item() == 0.0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_span_loss_ignores_what_is_masked() -> None:
    logits, allowed = torch.randn(B, L, 2), mask()
    targets = torch.zeros(B, L, 2)
    targets[:, 0] = 1.0
    before = losses.span_loss(logits, targets, allowed)
    logits[~allowed] = 1e4
    assert torch.equal(losses.span_loss(logits, targets, allowed), before)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_span_kl(temperature: float) -> None:
    student, teacher, allowed = torch.randn(B, L, 2), torch.randn(B, L, 2), mask()
    total = 0.0
    for row in range(B):
        where = allowed[row].nonzero()[:, 0].tolist()
        for side in range(2):
            p = softmax([float(teacher[row, i, side]) / temperature for i in where])
            q = softmax([float(student[row, i, side]) / temperature for i in where])
            total += kl(p, q) * temperature**2
    found = float(losses.span_kl(student, teacher, allowed, temperature))
    assert found == pytest.approx(total / (2 * B), rel=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_class_kl_is_batchmean_over_positions(temperature: float) -> None:
    student, teacher, chosen = torch.randn(B, L, C), torch.randn(B, L, C), mask()
    total = sum(
        kl(
            softmax([float(v) / temperature for v in teacher[row, place]]),
            softmax([float(v) / temperature for v in student[row, place]]),
        )
        for row, place in chosen.nonzero().tolist()
    )
    expected = total / int(chosen.sum()) * temperature**2
    found = float(losses.class_kl(student, teacher, chosen, temperature))
    assert found == pytest.approx(expected, rel=1e-5)


def test_class_kl_over_whole_texts_and_over_nothing() -> None:
    student, teacher = torch.randn(B, C), torch.randn(B, C)
    expected = sum(
        kl(softmax(t), softmax(s)) for s, t in zip(student.tolist(), teacher.tolist(), strict=True)
    )
    assert float(losses.class_kl(student, teacher, None, 1.0)) == pytest.approx(
        expected / B, rel=1e-5
    )
    nothing = torch.zeros(B, L, dtype=torch.bool)
    assert float(losses.class_kl(torch.randn(B, L, C), torch.randn(B, L, C), nothing, 2.0)) == 0.0


def test_cosine_loss() -> None:
    student, teacher, chosen = torch.randn(B, L, H), torch.randn(B, L, H), mask()
    total = 0.0
    for row, place in chosen.nonzero().tolist():
        a, b = student[row, place].tolist(), teacher[row, place].tolist()
        dot = sum(x * y for x, y in zip(a, b, strict=True))
        total += 1 - dot / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))
    found = float(losses.cosine_loss(student, teacher, chosen.long()))
    assert found == pytest.approx(total / int(chosen.sum()), rel=1e-5)
    # What torch offers for it, as the published code uses it.
    target = torch.ones(int(chosen.sum()))
    reference = torch.nn.CosineEmbeddingLoss()(student[chosen], teacher[chosen], target)
    assert found == pytest.approx(float(reference), rel=1e-5)


def test_attention_loss() -> None:
    chosen = mask()
    lowest = torch.finfo(torch.float32).min
    keys = torch.where(chosen, 0.0, lowest)[:, None, None, :]
    student, teacher = (torch.softmax(torch.randn(B, 2, L, L) + keys, -1) for _ in range(2))
    total = 0.0
    for row, query in chosen.nonzero().tolist():
        for head in range(2):
            p, q = teacher[row, head, query].tolist(), student[row, head, query].tolist()
            total += kl(p, q)
    found = float(losses.attention_loss(student, teacher, chosen.long()))
    assert found == pytest.approx(total / (2 * int(chosen.sum())), rel=1e-5)
    assert float(losses.attention_loss(teacher, teacher, chosen)) == pytest.approx(0.0, abs=1e-7)


def test_label_loss_of_classes() -> None:
    logits, labels = torch.randn(B, L, C), torch.randint(C, (B, L))
    labels[0, :4] = -100
    total = [
        -math.log(softmax(logits[row, place].tolist())[int(labels[row, place])])
        for row, place in (labels != -100).nonzero().tolist()
    ]
    found = float(losses.label_loss(logits, labels))
    assert found == pytest.approx(sum(total) / len(total), rel=1e-5)
    assert float(losses.label_loss(logits, torch.full((B, L), -100))) == 0.0


def test_label_loss_of_values() -> None:
    logits, labels = torch.tensor([[1.0], [2.0], [9.0]]), torch.tensor([0.0, 4.0, math.nan])
    assert float(losses.label_loss(logits, labels)) == pytest.approx((1.0 + 4.0) / 2)


def test_losses_are_float32_under_half_precision() -> None:
    half = torch.randn(B, L, 2).bfloat16()
    assert losses.span_kl(half, half, mask(), 2.0).dtype == torch.float32
    assert losses.cosine_loss(half, half, mask()).dtype == torch.float32
