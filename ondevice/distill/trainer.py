"""transformers' Trainer with this project's losses, scores, order of batches, and ways to stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, distributed, nn
from torch.utils.data import Sampler
from transformers import PrinterCallback, Trainer, TrainingArguments

from ondevice.distill.callbacks import Budget, Progress
from ondevice.distill.forward import model_inputs, predict
from ondevice.distill.heads.base import Batch, Feature, Features, Scores
from ondevice.errors import OnDeviceError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ondevice.distill.heads.base import TaskHead

# Grouping sorts within windows of this many batches: enough to pad little, few enough to stay
# random.
GROUP = 50


class DivergedError(OnDeviceError):
    """The loss is no longer a number."""

    exit_code = 2


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What is scored while training, and how."""

    head: TaskHead
    features: list[Feature]
    examples: Sequence[Any]

    def score(self, model: PreTrainedModel) -> Scores:
        """Score a model."""
        logits = predict(model, self.head, self.features)
        return self.head.score(self.features, logits, self.examples)


class GroupedSampler(Sampler[int]):
    """Shuffle anew each epoch, then sort by length within groups of batches.

    The order depends on seed and epoch alone, so that a resumed run sees what it would have seen,
    and N processes together see the batches that one process with N times the batch sees.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        """`batch_size` counts the examples of one optimizer step over all processes."""
        self._lengths = np.asarray(lengths)
        self._batch = batch_size
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; the engine calls it."""
        self._epoch = epoch

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        """Yield indices."""
        draw = np.random.default_rng((self._seed, self._epoch))
        order = draw.permutation(len(self._lengths))
        size = GROUP * self._batch
        batches: list[np.ndarray[Any, Any]] = []
        for begin in range(0, len(order), size):
            group = order[begin : begin + size]
            group = group[np.argsort(-self._lengths[group], kind="stable")]
            parts = [group[i : i + self._batch] for i in range(0, len(group), self._batch)]
            # Batches of one group come in random order, or the length would fall and rise like a
            # saw; a short last batch stays last, or all after it would be cut across lengths.
            whole = [part for part in parts if len(part) == self._batch]
            batches += [whole[i] for i in draw.permutation(len(whole))]
            batches += [part for part in parts if len(part) < self._batch]
        for batch in batches:
            yield from (int(index) for index in batch)


class DistillTrainer(Trainer):  # type: ignore[misc]
    """The engine, with named loss parts. Subclasses give :meth:`loss_parts`."""

    def __init__(
        self,
        model: PreTrainedModel,
        args: TrainingArguments,
        train: Any,
        collate: Callable[[Sequence[Any]], Batch],
        *,
        evaluation: Any = None,
        budget: Budget | None = None,
    ) -> None:
        """Take loaded objects only."""
        super().__init__(
            model=model,
            args=args,
            train_dataset=train,
            eval_dataset=evaluation,
            data_collator=collate,
        )
        self._parts: dict[str, Tensor] = {}
        self._part_steps = 0
        self.loss_is_scaled_for_ga = False  # our losses are means over a batch
        self.model_accepts_loss_kwargs = False
        self.remove_callback(PrinterCallback)  # it prints to stdout, which is for results
        self.add_callback(Progress(budget))
        self._budget = budget
        if budget is not None:
            self.add_callback(budget)

    def loss_parts(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss [] and its named, unweighted parts for one batch."""
        raise NotImplementedError

    def example_names(self, batch: Batch) -> list[str]:
        """Name the examples of a batch."""
        raise NotImplementedError

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """Compute the loss, keep its parts for the log, and stop where it is not a number.

        Raises:
            DivergedError: names the step and the batch.
        """
        loss, parts = self.loss_parts(model, inputs)
        if not bool(torch.isfinite(loss)):
            values = ", ".join(f"{name} {value.item():.4g}" for name, value in parts.items())
            raise DivergedError(
                f"the loss is {loss.item()} at step {self.state.global_step + 1}"
                f"{f' ({values})' if values else ''}; the batch holds "
                f"{', '.join(self.example_names(inputs))}; lower --learning-rate, or look at these "
                "examples"
            )
        for name, value in parts.items():
            self._parts[name] = self._parts.get(name, torch.zeros(())) + value.detach().cpu()
        self._part_steps += 1
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the mean of each loss part since the last line."""
        if "loss" in logs and self._part_steps:
            logs |= self._mean_parts()
            self._parts, self._part_steps = {}, 0
        super().log(logs, start_time)

    def _mean_parts(self) -> dict[str, float]:
        """Return each part's mean over the steps since the last line, and over processes.

        Every process must ask: each has its share of a mean over all (:mod:`losses`).
        """
        if not self._parts:
            return {}
        means = torch.stack([*self._parts.values()]) / self._part_steps
        if distributed.is_available() and distributed.is_initialized():
            means = means.to(self.args.device)
            distributed.all_reduce(means)
            means = means / distributed.get_world_size()
        return dict(zip(self._parts, means.tolist(), strict=True))

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> Any:
        """Use the budget's schedule if there is one."""
        if self._budget is None:
            return super().create_scheduler(num_training_steps, optimizer)
        budget = self._budget
        self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer or self.optimizer, lambda step: budget.factor(step, num_training_steps)
        )
        return self.lr_scheduler


class TaskTrainer(DistillTrainer):
    """Fine-tune on labels."""

    def __init__(
        self,
        model: PreTrainedModel,
        args: TrainingArguments,
        head: TaskHead,
        train: Features,
        evaluation: Evaluation,
        *,
        budget: Budget | None = None,
        collate: Callable[[Sequence[Any]], Batch] | None = None,
    ) -> None:
        """Take loaded objects only."""
        super().__init__(
            model,
            args,
            train,
            collate or head.collate,
            evaluation=evaluation.features,
            budget=budget,
        )
        self.head = head
        self._features = train
        self._evaluation = evaluation

    def loss_parts(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss against the labels."""
        return self.head.hard_loss(self.head.logits(model(**model_inputs(model, batch))), batch), {}

    def example_names(self, batch: Batch) -> list[str]:
        """Return the ids of the examples."""
        return sorted({self._features[int(index)].name for index in batch["index"]})

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Return the metrics in percent, each name with `eval_` before it."""
        scores = self._evaluation.score(self.accelerator.unwrap_model(self.model))
        metrics = {f"eval_{name}": value for name, value in scores.values.items()}
        self.log(dict(metrics))
        # The callbacks see the evaluation as they would see the engine's own.
        handler: Any = self.callback_handler
        self.control: Any = handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        size = self.args.train_batch_size * self.args.gradient_accumulation_steps
        return GroupedSampler(self._features.lengths, size * self.args.world_size, self.args.seed)
