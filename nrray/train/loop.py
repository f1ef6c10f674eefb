"""The training loop: accelerate's processes, one global batch whatever their number, states to go on from. Knows no Ray."""

import math
import os
import time
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from nrray.errors import TrainingError
from nrray.train.averaging import Averages
from nrray.train.batches import MicroBatch, TrainingWindows, on_device
from nrray.train.history import Event, StepMeasured, TrainingStarted, Validated
from nrray.train.objective import positive_weights
from nrray.train.optimizer import MOMENTS, Optimizer
from nrray.train.order import Order
from nrray.train.progress import Progress
from nrray.train.schedule import Schedule, schedule_of
from nrray.train.state import Records, TrainingState
from nrray.train.trainee.trainee import Trainee, check_gradients
from nrray.train.training_config import ResolvedTraining
from nrray.train.validation import Validation, autocast

LOG_EVERY_STEPS = 10
MAX_LOADERS = 8  # each takes half a gigabyte


@dataclass(frozen=True, kw_only=True)
class Step:
    """One optimizer step: the mean loss of its windows, the gradient's norm before clipping, whether a stop was asked for."""

    loss: float
    gradient_norm: float
    is_asked_to_stop: bool


class Training:
    """A training that can be saved between any two steps and go on with any number of processes."""

    def __init__(
        self,
        module: Trainee,
        config: ResolvedTraining,
        *,
        order: Order,
        windows: TrainingWindows,
        validation: Validation,
        accelerator: Accelerator,
        records: Records,
        dtype: torch.dtype,
    ) -> None:
        self._module = module
        self._config = config
        self._windows = windows
        self._validation = validation
        self._accelerator = accelerator
        self._records = records
        self._dtype = dtype
        self._trained = module.trained()
        self._averages = Averages(self._trained, decay=config.average_decay)
        self._optimizer = Optimizer(module, config)
        weights = positive_weights(order.positive_shares, bound=config.objective.max_positive_weight)
        self._positive_weight = torch.from_numpy(weights).to(accelerator.device)
        self._micro_batch_windows = config.micro_batch_windows
        self._has_checked_gradients = False
        self.progress = Progress()
        self.logits: dict[int, NDArray[np.float32]] = {}
        """(W, A) of every validation, by its step."""

    @property
    def schedule(self) -> Schedule:
        """The course of the rates and the end, as far as they are known now."""
        return schedule_of(self._config, stuck_at=self.progress.stuck_at(self._config.patience))

    def run(self) -> bool:
        """Train to the end, which comes sooner where validation gets no better; the module then holds the best weights. False
        where a stop was asked for before: the state is saved.

        Raises TrainingError, DataError, StorageError.
        """
        self._check_processes()
        is_new = not self._restore()
        if is_new:
            self._validate()
            self._save()
        started, first = time.perf_counter(), self.progress.step
        self._module.train()
        for batches in self._batches() if not self._is_over() else ():
            done = self._step(batches)
            self.progress = self.progress.after_step(done.loss)
            step, is_last = self.progress.step, self._is_over()
            if step % LOG_EVERY_STEPS == 0 or is_last:
                rate = (step - first) * self._config.batch_windows / (time.perf_counter() - started)
                self._log_step(done.gradient_norm, windows_per_second=rate)
            is_validated = step % self._config.validate_every_steps == 0 or is_last
            if is_validated:
                self._validate()
            if is_validated or done.is_asked_to_stop or step % self._config.checkpoint_every_steps == 0:
                self._save()
            if self._is_over():
                break
            if done.is_asked_to_stop:
                return False
        self._averages.put_best()
        return True

    def _batches(self) -> DataLoader:
        setting = self._config.loader_processes
        count = setting if setting != "auto" else loader_processes(self._accelerator.device)
        return DataLoader(
            self._windows,
            batch_size=None,
            sampler=range(self.progress.step, self._config.num_steps),
            num_workers=count,
            multiprocessing_context="spawn" if count else None,
            collate_fn=_as_is,
        )

    def _step(self, batches: list[MicroBatch]) -> Step:
        costs = self._accumulated(batches)
        if not self._has_checked_gradients:
            check_gradients(self._module)
            self._has_checked_gradients = True
        gradients = [parameter.grad for parameter in self._trained.values()]
        # One sum over all processes: a few MB of adapter, and no process waits for another within a step.
        stop = costs.new_tensor([self._accelerator.is_main_process and self._records.is_asked_to_stop()])
        flat = torch.cat([costs, stop, *(gradient.flatten() for gradient in gradients)])
        flat = self._accelerator.reduce(flat, "sum")
        costs, stop, *parts = flat.split([len(costs), 1, *(gradient.numel() for gradient in gradients)])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))
        norm = float(torch.nn.utils.clip_grad_norm_(self._trained.values(), self._config.gradient_norm))
        if not math.isfinite(norm) or not bool(torch.isfinite(costs).all()):
            raise TrainingError(self._nan_sentence(costs))
        self._optimizer.step(self.progress.step, self.schedule)
        self._averages.follow(self.progress.step)
        return Step(loss=float(costs.mean()), gradient_norm=norm, is_asked_to_stop=bool(stop))

    def _accumulated(self, batches: list[MicroBatch]) -> torch.Tensor:
        """(batch_windows,) cost of this process's windows, 0 of the others'; their gradients are added up in the module."""
        while True:
            costs = self._tried(batches)
            if costs is not None:
                return costs
            # The handler has ended, so that the failed batch's tensors are gone.
            torch.cuda.empty_cache()
            self._optimizer.forget_gradients()
            if self._micro_batch_windows == 1:
                raise TrainingError(
                    "the device ran out of memory for a single window. Set training.gradient_checkpointing=true, or use "
                    "smaller frames, fewer frames a window or a smaller model."
                )
            self._micro_batch_windows = max(1, self._micro_batch_windows // 2)
            batches = self._windows.micro_batches(self.progress.step, self._micro_batch_windows)

    def _tried(self, batches: list[MicroBatch]) -> torch.Tensor | None:
        device, objective = self._accelerator.device, self._config.objective
        costs = torch.zeros(self._config.batch_windows, device=device)
        try:
            for batch in batches:
                with autocast(device, self._dtype):
                    logits = self._module(on_device(batch.inputs, device)).float()
                    targets = batch.targets.to(device)
                    cost = objective.cost(logits, targets, positive_weight=self._positive_weight).mean(dim=1)
                (cost.sum() / self._config.batch_windows).backward()
                costs[torch.from_numpy(batch.indices).to(device)] = cost.detach()
        except torch.OutOfMemoryError:
            return None
        return costs

    def _validate(self) -> None:
        with self._averages.in_model():
            logits = self._validation.logits(self._module)
        scores = self._validation.scores(logits)
        self.logits[self.progress.step] = logits
        event = Validated(
            step=self.progress.step,
            num_steps=self.schedule.num_steps,
            unix_seconds=time.time(),
            validation_loss=scores.loss,
            validation_macro_f1=scores.macro_f1,
            validation_f1=scores.f1,
        )
        self._record(event)
        if self.progress.best is event:
            self._averages.keep_as_best()

    def _is_over(self) -> bool:
        return self.progress.step >= self.schedule.num_steps

    def _save(self) -> None:
        if not self._accelerator.is_main_process:
            return
        tensors = {f"logits/{step}": torch.from_numpy(logits) for step, logits in self.logits.items()}
        tensors["rng/torch"] = torch.get_rng_state()
        for name, parameter in self._trained.items():
            averages = {"average": self._averages.average[name], "best": self._averages.best[name]}
            parts = {"weights": parameter, **averages, **self._optimizer.moments(parameter)}
            tensors |= {f"{part}/{name}": tensor for part, tensor in parts.items()}
        self._records.write_state(TrainingState(progress=self.progress, tensors=tensors))

    def _restore(self) -> bool:
        """Whether there was a state to go on from; either way the history has the start."""
        state, unreadable = self._records.read_state()
        if state is not None:
            self.progress = state.progress
            found = {name.split("/")[1]: part for name, part in state.tensors.items() if name.startswith("logits/")}
            self.logits = {int(step): found[step].float().numpy() for step in sorted(found, key=int)}
            with torch.no_grad():
                for name, parameter in self._trained.items():
                    parameter.copy_(state.tensors[f"weights/{name}"])
                    self._averages.average[name].copy_(state.tensors[f"average/{name}"])
                    self._averages.best[name].copy_(state.tensors[f"best/{name}"])
                    moments = {key: state.tensors.get(f"{key}/{name}") for key in MOMENTS}
                    self._optimizer.restore(parameter, moments, step=self.progress.step)
            torch.set_rng_state(state.tensors["rng/torch"])
        self._record(
            TrainingStarted(
                step=self.progress.step,
                num_steps=self.schedule.num_steps,
                unix_seconds=time.time(),
                num_workers=self._accelerator.num_processes,
                unreadable_checkpoints=tuple(unreadable),
            )
        )
        return state is not None

    def _log_step(self, norm: float, *, windows_per_second: float) -> None:
        losses = self.progress.recent_losses
        left = (self.schedule.num_steps - self.progress.step) * self._config.batch_windows
        self._record(
            StepMeasured(
                step=self.progress.step,
                num_steps=self.schedule.num_steps,
                unix_seconds=time.time(),
                loss=sum(losses) / len(losses),
                learning_rate=self._optimizer.main_rate,
                gradient_norm=norm,
                windows_per_second=windows_per_second,
                seconds_left=left / windows_per_second,
            )
        )

    def _record(self, event: Event) -> None:
        self.progress = self.progress.after_event(event)
        if self._accelerator.is_main_process:
            self._records.write_history(self.progress.history)

    def _check_processes(self) -> None:
        count = self._accelerator.num_processes
        if count > self._config.batch_windows:
            raise TrainingError(
                f"{count} workers share {self._config.batch_windows} windows a step: some would have none. Set "
                f"training.batch_windows to at least {count}, or use fewer workers."
            )
        mine = torch.stack([parameter.detach().double().sum() for parameter in self._trained.values()])
        highest = self._accelerator.gather(mine[None]).amax(dim=0)
        lowest = self._accelerator.gather(mine[None]).amin(dim=0)
        if not torch.equal(highest, lowest):
            raise TrainingError(
                "workers start from different weights: is the checkpoint in model.path the same on all nodes?"
            )

    def _nan_sentence(self, costs: torch.Tensor) -> str:
        bad = torch.nonzero(~torch.isfinite(costs)).flatten().tolist()
        value = "the loss" if bad else "the gradient"
        return (
            f"{value} of step {self.progress.step} is no number, with {self._windows.names(self.progress.step, bad)}. "
            f"Training stopped; the last checkpoint is kept. Lower training.learning_rate, or look at these windows."
        )


def loader_processes(device: torch.device) -> int:
    """Processes that prepare batches for a worker on `device`: a GPU learns faster than one CPU prepares, a CPU does both."""
    if device.type == "cpu":
        return 0
    workers_here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, min(MAX_LOADERS, (os.cpu_count() or 1) // workers_here - 1))


def _as_is(batches: list[MicroBatch]) -> list[MicroBatch]:
    return batches
