"""How a network is trained: Lightning, on one thread of the processor, silent, leaving nothing behind but the weights.

Importing this module imports Lightning: the recipes do it when they fit.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any

import lightning.pytorch as lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from gridcast.contracts import Floats
from gridcast.models import networks
from gridcast.models.deep import Weights

Optimizers = Callable[[nn.Module], Any]
"""From a network to what Lightning's ``configure_optimizers`` returns."""

_VALIDATION = "validation"
_TURN = Lock()
"""Held by the one that trains: torch has one generator and one set of switches for all threads."""


class _Module(lightning.LightningModule):
    """A network that learns to give the last array of a batch from the others, where that is finite."""

    def __init__(self, network: nn.Module, *, loss: Callable[[Tensor, Tensor], Tensor], optimizers: Optimizers) -> None:
        super().__init__()
        self.network, self.loss, self.optimizers_of = network, loss, optimizers
        self.best, self.best_loss = networks.weights_of(network), np.inf

    def _loss(self, batch: list[Tensor]) -> Tensor:
        *inputs, target = batch
        known = torch.isfinite(target)
        return self.loss(self.network(*inputs)[known], target[known])

    def training_step(self, batch: list[Tensor], _: int) -> Tensor:
        return self._loss(batch)

    def validation_step(self, batch: list[Tensor], _: int) -> None:
        self.log(_VALIDATION, self._loss(batch), batch_size=len(batch[0]))

    def on_validation_epoch_end(self) -> None:
        loss = float(self.trainer.callback_metrics[_VALIDATION])
        if loss < self.best_loss:
            self.best, self.best_loss = networks.weights_of(self.network), loss

    def configure_optimizers(self) -> Any:  # noqa: ANN401  # Lightning's own union of nine types
        return self.optimizers_of(self.network)


def train(
    build: Callable[[], nn.Module],
    arrays: Sequence[Floats],
    *,
    loss: Callable[[Tensor, Tensor], Tensor],
    optimizers: Optimizers,
    batch: int,
    epochs: int,
    seed: int,
    validation: NDArray[np.bool_] | None = None,
    patience: int = 0,
    clip: float | None = None,
) -> Weights:
    """Train a network from scratch; the same arguments give the same weights, bit for bit.

    Args:
        build: makes the network; its first weights are drawn by ``seed``.
        arrays: inputs and, last, the target, each [B, ...]; steps whose target is NaN do not count.
        loss: of the answers [K, ...] to targets that are known, and these [K].
        optimizers: from the network to Lightning's optimizers; a scheduler may monitor ``validation``, the loss there.
        batch: how many rows a step.
        epochs: how often every row is seen, at most.
        seed: of the first weights, the order of the rows and the dropout.
        validation: [B] rows that are not learned from; training stops when their loss has not fallen for ``patience``
            epochs, and the weights that did best on them are returned. Without them the last weights are.
        patience: see ``validation``.
        clip: the longest gradient, or none.
    """
    data = [torch.from_numpy(np.asarray(each, np.float32)) for each in arrays]
    held = np.zeros(len(arrays[0]), np.bool_) if validation is None else validation
    with _alone(seed):
        module = _Module(build(), loss=loss, optimizers=optimizers)
        learned, checked = (
            TensorDataset(*(each[torch.from_numpy(np.flatnonzero(rows))] for each in data)) for rows in (~held, held)
        )
        stop = lightning.callbacks.EarlyStopping(_VALIDATION, patience=patience)
        trainer = lightning.Trainer(
            accelerator="cpu",
            devices=1,
            max_epochs=epochs,
            callbacks=[stop] if held.any() else [],
            gradient_clip_val=clip,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        torch.use_deterministic_algorithms(True)  # Lightning's own switch also writes to the environment
        trainer.fit(
            module,
            DataLoader(learned, batch_size=batch, shuffle=True),
            DataLoader(checked, batch_size=batch) if held.any() else None,
        )
    return module.best if held.any() else networks.weights_of(module.network)


@contextmanager
def _alone(seed: int) -> Iterator[None]:
    """Seeded and silent inside; outside, torch's generator and switches, the loggers and warnings are as before.

    Who comes meanwhile waits.
    """
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    with _TURN, torch.random.fork_rng(devices=[]), networks.one_thread(), warnings.catch_warnings():
        strict, warn_only = (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        )
        levels = [logger.level for logger in loggers]
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
            torch.use_deterministic_algorithms(strict, warn_only=warn_only)
