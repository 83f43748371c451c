"""The losses, each a few lines and each with its source.

All are computed in float32, whatever the model's arithmetic. A mean over positions or labelled
examples is one over all processes', so that N processes learn what one with N times the batch does,
however unequal their texts are.
"""

from __future__ import annotations

import torch
from torch import Tensor, distributed
from torch.nn import functional


def masked_log_softmax(logits: Tensor, mask: Tensor, temperature: float = 1.0) -> Tensor:
    """Return log-probabilities over the positions of the last axis that `mask` (same shape) allows.

    Masked positions get the lowest finite number, not minus infinity: 0 · (-inf) would be NaN in
    the sums below. Every row must allow a position.
    """
    scaled = logits.float() / temperature
    return functional.log_softmax(scaled.masked_fill(~mask, torch.finfo(torch.float32).min), dim=-1)


def span_loss(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Return the cross-entropy [] of start and end against the annotators' votes, averaged.

    Args:
        logits: [B, L, 2].
        targets: [B, L, 2], columns that sum to 1; rows that sum to 0 are unlabelled, and do not
            count.
        mask: [B, L], true where a span may start or end.
    """
    labelled = targets.sum(dim=(1, 2)) > 0
    log_probabilities = masked_log_softmax(logits.mT, mask[:, None].expand_as(logits.mT))
    each = -(targets.mT * log_probabilities).sum(-1).mean(-1)
    return _mean(each[labelled].sum(), labelled.sum())


def span_kl(student: Tensor, teacher: Tensor, mask: Tensor, temperature: float) -> Tensor:
    """Return T² · KL(teacher ‖ student) [] over the candidate positions, mean of start and end.

    Hinton, Vinyals, Dean 2015, section 2: T² keeps the gradient's size independent of T.
    DistilBERT's `run_squad_w_distillation.py` averages the two in the same way. Logits are
    [B, L, 2].
    """
    allowed = mask[:, None].expand_as(student.mT)
    ours = masked_log_softmax(student.mT, allowed, temperature)
    theirs = masked_log_softmax(teacher.mT, allowed, temperature)
    each = (theirs.exp() * (theirs - ours)).sum(-1).mean(-1)
    return _mean(each.sum(), _count(each)) * temperature**2


def class_kl(student: Tensor, teacher: Tensor, mask: Tensor | None, temperature: float) -> Tensor:
    """Return T² · KL(teacher ‖ student) [] over classes, `batchmean` over the masked positions.

    Sanh et al. 2019, section 3 (`L_ce`). Logits are [..., C] and `mask` [...] chooses positions;
    None takes all. No position at all gives 0.
    """
    if mask is not None:
        student, teacher = student[mask], teacher[mask]
    ours = functional.log_softmax(student.float() / temperature, dim=-1).flatten(0, -2)
    theirs = functional.log_softmax(teacher.float() / temperature, dim=-1).flatten(0, -2)
    total = functional.kl_div(ours, theirs, reduction="sum", log_target=True)
    return _mean(total, _count(ours[:, 0])) * temperature**2


def cosine_loss(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Return 1 - cos(student, teacher) [], averaged over the unmasked positions.

    Sanh et al. 2019, section 3 (`L_cos`). Hidden states are [B, L, H]; `mask` is [B, L].
    """
    chosen = mask.bool()
    alike = functional.cosine_similarity(student[chosen].float(), teacher[chosen].float(), dim=-1)
    return _mean((1.0 - alike).sum(), _count(alike))


def attention_loss(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Return KL(teacher ‖ student) [] of attention distributions, averaged over heads and queries.

    MiniLM (Wang et al. 2020), section 3.1, at any layer. Probabilities are [B, A, L, L]; `mask`
    [B, L] chooses the queries (padded keys have probability 0 on both sides).
    """
    queries = mask.bool()[:, None].expand(student.shape[:3])
    ours, theirs = student[queries].float(), teacher[queries].float()
    tiny = torch.finfo(torch.float32).tiny
    each = theirs * (theirs.clamp(min=tiny).log() - ours.clamp(min=tiny).log())
    return _mean(each.sum(), _count(each[:, 0]))


def label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return cross-entropy [] for whole-number labels, squared error for real ones.

    Logits are [..., C], labels [...]; -100 (or NaN) marks what is unlabelled, and nothing labelled
    gives 0.
    """
    flat, wanted = logits.float().flatten(0, -2), labels.flatten()
    if wanted.is_floating_point():
        known = ~torch.isnan(wanted)
        errors = (flat.squeeze(-1)[known] - wanted[known]) ** 2
        return _mean(errors.sum(), known.sum())
    known = wanted != -100
    total = functional.cross_entropy(flat, wanted, ignore_index=-100, reduction="sum")
    return _mean(total, known.sum())


def regression_soft_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the squared error [] to the teacher's value, where the task is a regression."""
    errors = (student.float() - teacher.float()).flatten() ** 2
    return _mean(errors.sum(), _count(errors))


def _count(each: Tensor) -> Tensor:
    """Return how many values there are [], as a tensor on their device."""
    return torch.tensor(each.numel(), device=each.device)


def _mean(total: Tensor, count: Tensor) -> Tensor:
    """Return a sum [] over a count [], which is the mean of all processes' counts.

    Gradients are averaged over processes: the average of sums over the mean count is the mean over
    everything. Nothing counted gives 0.
    """
    if distributed.is_available() and distributed.is_initialized():
        everywhere = count.clone()
        distributed.all_reduce(everywhere)
        return total * distributed.get_world_size() / everywhere.clamp(min=1)
    return total / count.clamp(min=1)
