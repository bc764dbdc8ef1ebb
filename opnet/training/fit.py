"""`fit`: train a model, the same way every time, through interruptions."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from opnet.core.errors import TrainingError
from opnet.core.expect import expect
from opnet.core.progress import Progress, silent
from opnet.data.batch import Batch, Dataset
from opnet.evaluation.evaluate import measure
from opnet.evaluation.metrics import Criterion, RelativeL2
from opnet.evaluation.predict import predict
from opnet.evaluation.rollout import unrolled
from opnet.models.base import Model
from opnet.training.batches import MODEL, TrainingBatches, fit_stream
from opnet.training.checkpoint import Standing, checkpoint_folder, newest_checkpoint, write_checkpoint
from opnet.training.config import FitConfig
from opnet.training.guards import Guard, indices_of, largest_allowed
from opnet.training.identity import check_identity, plain_identity
from opnet.training.interrupts import Interrupts
from opnet.training.losses import mean_loss
from opnet.training.model_file import load_weights, read_model_file
from opnet.training.optimizer_state import load_optimizer, optimizer_tensors
from opnet.training.protocol import RolloutTraining
from opnet.training.schedules import learning_rate


@dataclass
class Run:
    """A finished training.

    Attributes:
        model: the trained model, in evaluation mode.
        history: one dict an epoch: epoch (from 1), step, loss (the mean over the epoch's samples), validation (the
            same metric on the validation data, or None), learning_rate (of its last step), seconds (since the start,
            interruptions left out).
        steps: optimiser steps in all.
        resumed_from: the step a checkpoint was taken up at; None if there was none.
        notes: what the user should know, such as a damaged checkpoint that was passed over.
        protocol: frames in and out, teacher forcing, pushforward and noise, in a phrase that results carry; "one-shot"
            for data that is not cut in time.
    """

    model: nn.Module
    history: list[dict[str, Any]]
    steps: int
    resumed_from: int | None = None
    notes: list[str] = field(default_factory=list)
    protocol: str = ""

    @property
    def finished_before(self) -> bool:
        """Whether there was nothing left to do."""
        return self.resumed_from == self.steps

    @property
    def best_epoch(self) -> int | None:
        """The epoch of the smallest validation loss; None without validation. The weights are the last epoch's."""
        measured = [(row["validation"], row["epoch"]) for row in self.history if row["validation"] is not None]
        return min(measured)[1] if measured else None


def fit(
    model: nn.Module,
    dataset: Dataset,
    *,
    loss: Criterion = RelativeL2(),  # noqa: B008  (frozen values)
    config: FitConfig = FitConfig(),  # noqa: B008
    rollouts: RolloutTraining = RolloutTraining(),  # noqa: B008
    validation: Dataset | None = None,
    folder: str | Path | None = None,
    progress: Progress = silent,
    checkpoint_seconds: float = 30.0,
) -> Run:
    """Minimise the mean of `loss` over `dataset` by AdamW, changing `model` in place.

    The final weights are a function of the first weights, the data and `config`, to the last byte on one machine and
    thread count: batch order, augmentation and dropout draw from streams keyed by seed, epoch and step, and the global
    random state is neither used nor changed.

    With a `folder`, checkpoints are written there at the start, every `checkpoint_seconds` and at the end; so also on
    SIGINT or SIGTERM, after the step at hand, which then leave by KeyboardInterrupt or exit status 143. The same call
    again goes on where the last checkpoint stands and ends in the same weights; a finished one returns at once.

    Args:
        model: an operator model, or a graph model on data with times; an `opnet` `Model` where there is a `folder`.
        loss: a metric, or another criterion such as `PDEResidual`; its mean over samples and channels is minimised.
        rollouts: noise and pushforward, for models on grids that will be fed with their own predictions.
        validation: measured after every epoch, for the history.
        folder: where checkpoints stand, this training's own.

    Raises:
        ValueError: for data, device or folder that do not fit; a folder holding another training says what differs,
            one in which another process is training is refused.
        TrainingError: naming step and samples, when a loss or gradient is not finite or too large to square. The model
            then holds the last good weights.
        DataError: when all checkpoints in `folder` are damaged.

    Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019, algorithm 2.

    >>> from opnet.data.batch import ArrayDataset
    >>> from opnet.spaces.grid import Grid
    >>> class Scale(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.factor = nn.Parameter(torch.ones(()))
    ...
    ...     def forward(self, inputs, grid):
    ...         return self.factor * inputs
    >>> inputs = torch.arange(1.0, 33.0).reshape(4, 1, 8)
    >>> data = ArrayDataset(inputs, 3 * inputs, Grid((8,), nodes="cell"))
    >>> run = fit(Scale(), data, config=FitConfig(epochs=30, batch_size=2, learning_rate=0.2))
    >>> run.steps, run.history[-1]["loss"] < 0.01
    (60, True)
    """
    expect("fit: model", model, nn.Module, "a model")
    for name, data in (("dataset", dataset), ("validation", validation)):
        if data is not None or name == "dataset":
            expect(f"fit: {name}", data, Dataset, "a Dataset such as ArrayDataset(inputs, targets, grid)")
    expect("fit: loss", loss, Criterion, "a metric such as RelativeL2()")
    expect("fit: config", config, FitConfig, "a FitConfig")
    expect("fit: rollouts", rollouts, RolloutTraining, "a RolloutTraining")
    if folder is not None and not isinstance(model, Model):
        raise ValueError(f"fit: expected an opnet Model to write checkpoints of, found {type(model).__name__}")
    rollouts.check(dataset)
    device = torch.device(config.device)
    if not any(p.requires_grad for p in model.parameters()):
        raise ValueError("fit: expected a model with parameters to train, found none")
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        training = _Training(model, dataset, loss, config, rollouts, validation, progress)
        training.run(None if folder is None else Path(folder), checkpoint_seconds)
    standing = training.standing
    model.eval()
    protocol = rollouts.protocol(dataset)
    return Run(model, standing.history, standing.step, training.resumed_from, training.notes, protocol)


class _Training:
    """The state of one call to `fit`."""

    def __init__(
        self,
        model: nn.Module,
        dataset: Dataset,
        loss: Criterion,
        config: FitConfig,
        rollouts: RolloutTraining,
        validation: Dataset | None,
        progress: Progress,
    ) -> None:
        self.model, self.loss, self.config, self.rollouts = model, loss, config, rollouts
        self.validation, self.progress = validation, progress
        self.batches = TrainingBatches(dataset, config)
        model.to(device=config.device, dtype=config.dtype)
        self.guard = Guard(model)
        device = torch.device(config.device).type
        self.on_cuda, fused = device == "cuda", device in ("cpu", "cuda")
        self.optimizer = torch.optim.AdamW(
            self.guard.parameters, config.learning_rate, weight_decay=config.weight_decay, fused=fused or None
        )
        self.standing = Standing()
        self.saved: tuple[int, int] | None = None
        self.resumed_from: int | None = None
        self.notes: list[str] = []

    @property
    def total(self) -> int:
        return self.config.epochs * self.batches.per_epoch

    @property
    def finished(self) -> bool:
        return len(self.standing.history) >= self.config.epochs

    def run(self, folder: Path | None, checkpoint_seconds: float) -> None:
        self.folder = folder
        interrupts = Interrupts()
        if folder is None:
            self._advance(interrupts, checkpoint_seconds)
            return
        assert isinstance(self.model, Model)
        self.identity = plain_identity(self.model, self.config, self.loss, self.rollouts, self.batches)
        with checkpoint_folder(folder):
            self._take_up(folder)
            if not self.finished:
                with interrupts:
                    self._advance(interrupts, checkpoint_seconds)

    def _advance(self, interrupts: Interrupts, checkpoint_seconds: float) -> None:
        self.started, saved = time.monotonic() - self.standing.seconds, time.monotonic()
        self.model.train()
        while not self.finished:
            epoch = len(self.standing.history)
            if self.standing.step < (epoch + 1) * self.batches.per_epoch:
                self._step(epoch)
            else:
                self._close_epoch(epoch, interrupts)
            stop = interrupts.pending is not None
            if stop or self.finished or time.monotonic() - saved > checkpoint_seconds:
                self._save()
                saved = time.monotonic()
            if stop:
                interrupts.leave()

    def _step(self, epoch: int) -> None:
        step = self.standing.step
        within = step - epoch * self.batches.per_epoch
        batch = self.batches.batch(epoch, within)
        rate = learning_rate(self.config.schedule, self.config.learning_rate, step, self.total)
        loss_of = partial(self._loss, step)
        failure = self.guard.gradients(loss_of, batch)
        if failure is not None:
            self._fail(failure, epoch, *self.guard.failing_samples(loss_of, batch))
        if rate > largest_allowed(self.config.dtype):
            self.guard.restore()
            self._fail(f"the learning rate {rate:g} is too large for {self.config.precision}", epoch, indices_of(batch))
        self.guard.keep()
        if self.config.gradient_clip is not None:
            nn.utils.clip_grads_with_norm_(self.guard.parameters, self.config.gradient_clip, self.guard.norm)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.standing.step += 1
        self.standing.loss_sum += self.guard.loss * len(batch)
        self.progress(self.standing.step, self.total, f"epoch {epoch + 1}, loss {self.guard.loss:.4g}")

    def _loss(self, step: int, batch: Batch) -> Tensor:
        # Dropout and its like draw from the global states, which are this step's here.
        seed = int(fit_stream(self.config.seed, MODEL, step).integers(2**63))
        torch.default_generator.manual_seed(seed)
        if self.on_cuda:
            torch.cuda.manual_seed(seed)
        return mean_loss(self.loss, self.model, self.rollouts.prepared(self.model, batch))

    def _fail(self, failure: str, epoch: int, samples: list[int], alone: str | None = None) -> NoReturn:
        cause = f", of which the first by itself: {alone}" if alone else ""
        raise TrainingError(
            f"fit: step {self.standing.step + 1} of {self.total} (epoch {epoch + 1}): {failure}; "
            f"samples {samples} of the data set{cause}"
        )

    def _close_epoch(self, epoch: int, interrupts: Interrupts) -> None:
        measured = None
        if self.validation is not None:
            try:
                # Measuring may take longer than a process asked to end is given, and changes nothing.
                with interrupts.at_once():
                    ask = unrolled if self.rollouts.pushforward else predict
                    size = self.config.batch_size
                    values = measure(self.model, self.validation, (self.loss,), batch_size=size, ask=ask)[0]
            except (KeyboardInterrupt, SystemExit):
                self._save()
                raise
            measured = float(values.mean())
        last = self.standing.step - 1
        self.standing.history.append(
            {
                "epoch": epoch + 1,
                "step": self.standing.step,
                "loss": self.standing.loss_sum / self.batches.size,
                "validation": measured,
                "learning_rate": learning_rate(self.config.schedule, self.config.learning_rate, last, self.total),
                "seconds": time.monotonic() - self.started,
            }
        )
        self.standing.loss_sum = 0.0

    def _save(self) -> None:
        place = self.standing.step, len(self.standing.history)
        if self.folder is None or place == self.saved:
            return
        assert isinstance(self.model, Model)
        self.standing.seconds = time.monotonic() - self.started
        write_checkpoint(self.folder, self.model, optimizer_tensors(self.optimizer), self.standing, self.identity)
        self.saved = place

    def _take_up(self, folder: Path) -> None:
        checkpoint, self.notes = newest_checkpoint(folder)
        self.started = time.monotonic()
        if checkpoint is None:
            # The first weights too, so that going on does not depend on how the caller made them.
            self._save()
            return
        check_identity(folder, self.identity, checkpoint.identity)
        assert isinstance(self.model, Model)
        load_weights(checkpoint.path, self.model, read_model_file(checkpoint.path, checkpoint.weights)[1])
        self.guard.keep()
        load_optimizer(checkpoint.path, self.optimizer, checkpoint.optimizer)
        self.standing, self.resumed_from = checkpoint.standing, checkpoint.standing.step
        self.saved = self.standing.step, len(self.standing.history)
        if checkpoint.threads != torch.get_num_threads():
            self.notes.append(
                f"{checkpoint.path.name} was written with {checkpoint.threads} threads, going on with "
                f"{torch.get_num_threads()}: the last digits may differ from an uninterrupted training's"
            )
