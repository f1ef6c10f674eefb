"""The training loop: accelerate's processes, one global batch whatever their number, states to go on from. Knows no Ray."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray

from nrray.errors import TrainingError
from nrray.labels import LabelSet
from nrray.metrics import macro_f1, window_agreement
from nrray.models.rules import apply_rules
from nrray.train.batches import MicroBatch, Order, PlainWindows, TrainingWindows
from nrray.train.examples import Examples
from nrray.train.objective import positive_weights
from nrray.train.thresholds import best_thresholds
from nrray.train.training_config import TrainingConfig
from nrray.train.training_state import Progress, Records, TrainingState
from nrray.train.tuned import TunedVlm, check_gradients
from nrray.train.tuned_classifier import TunedClassifier

LOG_EVERY_STEPS = 10


class Training:
    """A training that can be saved between any two steps and go on with any number of processes."""

    def __init__(
        self,
        module: TunedVlm | TunedClassifier,
        config: TrainingConfig,
        *,
        examples: Examples,
        validation: Examples,
        windows: TrainingWindows,
        held_out: PlainWindows,
        label_set: LabelSet,
        accelerator: Accelerator,
        records: Records,
        identity: dict[str, Any],
        dtype: torch.dtype,
    ) -> None:
        self._module = module
        self._config = config
        self._windows = windows
        self._held_out = held_out
        self._validation = validation
        self._label_set = label_set
        self._accelerator = accelerator
        self._records = records
        self._identity = identity
        self._dtype = dtype
        self._order = Order(num_windows=len(examples), batch_windows=config.batch_windows, seed=config.seed)
        self._num_steps = config.num_steps(len(examples))
        self._trained = module.trained()
        self._optimizer = torch.optim.AdamW(_parameter_groups(module, config))
        weights = positive_weights(examples.targets, bound=config.objective.max_positive_weight)
        self._positive_weight = torch.from_numpy(weights).to(accelerator.device)
        self._average = {name: parameter.detach().clone() for name, parameter in self._trained.items()}
        self._best = {name: tensor.clone() for name, tensor in self._average.items()}
        self._micro_batch_windows = config.micro_batch_windows
        self._has_checked_gradients = False
        self.progress = Progress()

    def run(self) -> None:
        """Train to the end, or until validation gets no better; the module then holds the best weights.

        Raises TrainingError, DataError, StorageError.
        """
        self._check_processes()
        self._restore()
        is_new = not self.progress.history
        self._log(
            {
                "step": self.progress.step,
                "num_steps": self._num_steps,
                "num_workers": self._accelerator.num_processes,
            }
        )
        if is_new:
            self._validate()
            self._save()
        loader = torch.utils.data.DataLoader(
            self._windows,
            batch_size=None,
            sampler=range(self.progress.step, self._num_steps),
            num_workers=self._config.loader_processes,
            multiprocessing_context="spawn" if self._config.loader_processes else None,
            collate_fn=_as_is,
        )
        started, first = time.perf_counter(), self.progress.step
        self._module.train()
        for batches in loader if not self._is_over() else ():
            loss, norm = self._step(batches)
            step = self.progress.step
            if step % LOG_EVERY_STEPS == 0 or step == self._num_steps:
                seconds = time.perf_counter() - started
                rate = (step - first) * self._config.batch_windows / seconds
                self._log(
                    {
                        "step": step,
                        "num_steps": self._num_steps,
                        "loss": loss,
                        "learning_rate": self._optimizer.param_groups[0]["lr"],
                        "gradient_norm": norm,
                        "windows_per_second": rate,
                        "seconds_left": (self._num_steps - step) * self._config.batch_windows / rate,
                    }
                )
            is_validated = step % self._config.validate_every_steps == 0 or step == self._num_steps
            if is_validated:
                self._validate()
            if is_validated or step % self._config.checkpoint_every_steps == 0:
                self._save()
            if self._is_over():
                break
        self._put(self._best)

    def validation_logits(self) -> NDArray[np.float32]:
        """(W, A) logits of the part that decides, with the module's present weights; the same in every process."""
        module, device = self._module, self._accelerator.device
        logits = torch.zeros((len(self._validation), len(self._label_set.names)), device=device)
        module.eval()
        with torch.inference_mode(), self._autocast():
            for number in range(len(self._held_out)):
                batch = self._held_out[number]
                logits[torch.from_numpy(batch.places).to(device)] = module(_placed(batch.inputs, device)).float()
        module.train()
        summed = self._accelerator.reduce(logits.clone(), "sum")
        found: NDArray[np.float32] = summed.cpu().numpy()
        return found

    def _step(self, batches: list[MicroBatch]) -> tuple[float, float]:
        """One optimizer step; returns the mean loss of its windows and the norm of the gradient."""
        share = self._config.rate_share(self.progress.step, self._num_steps)
        for group in self._optimizer.param_groups:
            has_started = self.progress.step >= group["start"] * self._num_steps
            group["lr"] = share * group["peak"] if has_started else 0.0
        costs = self._accumulated(batches)
        if not self._has_checked_gradients:
            check_gradients(self._module)
            self._has_checked_gradients = True
        gradients = [parameter.grad for parameter in self._trained.values()]
        # One sum over all processes: a few MB of adapter, and no process waits for another within a step.
        flat = torch.cat([costs, *(gradient.flatten() for gradient in gradients)])
        flat = self._accelerator.reduce(flat, "sum")
        costs, *parts = flat.split([len(costs), *(gradient.numel() for gradient in gradients)])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))
        norm = float(torch.nn.utils.clip_grad_norm_(self._trained.values(), self._config.gradient_norm))
        if not math.isfinite(norm) or not bool(torch.isfinite(costs).all()):
            raise TrainingError(self._nan_sentence(costs))
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        decay = min(self._config.average_decay, (1 + self.progress.step) / (10 + self.progress.step))
        torch._foreach_lerp_(list(self._average.values()), [p.detach() for p in self._trained.values()], 1 - decay)
        self.progress.step += 1
        return float(costs.mean()), norm

    def _accumulated(self, batches: list[MicroBatch]) -> torch.Tensor:
        """(batch_windows,) cost of this process's windows, 0 of the others'; their gradients are added up in the module."""
        while True:
            costs = self._tried(batches)
            if costs is not None:
                return costs
            # The handler has ended, so that the failed batch's tensors are gone.
            torch.cuda.empty_cache()
            self._optimizer.zero_grad(set_to_none=True)
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
                with self._autocast():
                    logits = self._module(_placed(batch.inputs, device)).float()
                    targets = batch.targets.to(device)
                    cost = objective.cost(logits, targets, positive_weight=self._positive_weight).mean(dim=1)
                (cost.sum() / self._config.batch_windows).backward()
                costs[torch.from_numpy(batch.places).to(device)] = cost.detach()
        except torch.OutOfMemoryError:
            return None
        return costs

    def _validate(self) -> None:
        with self._averaged():
            logits = self.validation_logits()
        scores = torch.sigmoid(torch.from_numpy(logits)).numpy()
        targets, names = self._validation.targets, self._label_set.names
        thresholds = best_thresholds(scores, targets)
        claimed = apply_rules(scores >= thresholds, scores=scores, thresholds=thresholds, label_set=self._label_set)
        agreements = window_agreement(names, claimed, targets)
        left_out = self._label_set.rules.requires_visible
        macro = macro_f1([agreement for agreement in agreements if agreement.activity != left_out])
        loss = float(self._plain_cost(logits, targets))
        self._log(
            {
                "step": self.progress.step,
                "num_steps": self._num_steps,
                "validation_loss": loss,
                "validation_macro_f1": macro,
                "validation_f1": {agreement.activity: agreement.f1 for agreement in agreements},
            }
        )
        best = self.progress.best_macro_f1
        if macro is not None and (best is None or macro > best):
            self.progress.best_macro_f1, self.progress.best_step = macro, self.progress.step
            self.progress.validations_without_better = 0
            for name, tensor in self._best.items():
                tensor.copy_(self._average[name])
        else:
            self.progress.validations_without_better += 1

    def _plain_cost(self, logits: NDArray[np.float32], targets: NDArray[np.bool_]) -> torch.Tensor:
        wanted = torch.from_numpy(targets.astype(np.float32))
        return torch.nn.functional.binary_cross_entropy_with_logits(torch.from_numpy(logits), wanted)

    def _is_over(self) -> bool:
        is_stuck = self.progress.validations_without_better >= self._config.patience
        return is_stuck or self.progress.step >= self._num_steps

    def _save(self) -> None:
        if not self._accelerator.is_main_process:
            return
        tensors: dict[str, torch.Tensor] = {"rng/torch": torch.get_rng_state()}
        for name, parameter in self._trained.items():
            state = self._optimizer.state.get(parameter, {})
            moments = {key: state[key] for key in ("exp_avg", "exp_avg_sq") if key in state}
            parts = {"weights": parameter, "average": self._average[name], "best": self._best[name], **moments}
            tensors |= {f"{part}/{name}": tensor for part, tensor in parts.items()}
        self._records.write_state(TrainingState(progress=self.progress, tensors=tensors, identity=self._identity))

    def _restore(self) -> None:
        state = self._records.read_state(self._identity)
        if state is None:
            return
        self.progress = state.progress
        with torch.no_grad():
            for name, parameter in self._trained.items():
                parameter.copy_(state.tensors[f"weights/{name}"])
                self._average[name].copy_(state.tensors[f"average/{name}"])
                self._best[name].copy_(state.tensors[f"best/{name}"])
                if f"exp_avg/{name}" in state.tensors:
                    self._optimizer.state[parameter] = {
                        "step": torch.tensor(float(self.progress.step)),
                        **{
                            key: state.tensors[f"{key}/{name}"].to(parameter.device)
                            for key in ("exp_avg", "exp_avg_sq")
                        },
                    }
        torch.set_rng_state(state.tensors["rng/torch"])

    def _log(self, event: dict[str, Any]) -> None:
        self.progress.history.append(event)
        if self._accelerator.is_main_process:
            self._records.write_history(self.progress.history)

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """The averaged weights in the module for the time of the block."""
        kept = {name: parameter.detach().clone() for name, parameter in self._trained.items()}
        self._put(self._average)
        try:
            yield
        finally:
            self._put(kept)

    def _put(self, tensors: dict[str, torch.Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self._trained.items():
                parameter.copy_(tensors[name])

    def _autocast(self) -> torch.autocast:
        device_type = self._accelerator.device.type
        return torch.autocast(device_type, dtype=torch.bfloat16, enabled=self._dtype is torch.bfloat16)

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
        rows = self._order.rows(self.progress.step)[bad or slice(None)]
        what = "the loss" if bad else "the gradient"
        return (
            f"{what} of step {self.progress.step} is no number, with {self._windows.names(rows)}. Training stopped; the last "
            f"checkpoint is kept. Lower training.learning_rate, or look at these windows."
        )


def _parameter_groups(module: TunedVlm | TunedClassifier, config: TrainingConfig) -> list[dict[str, Any]]:
    """Of each: parameters, peak of the learning rate, weight decay, and the share of the training when it begins to learn."""
    rates = {
        "adapter": config.learning_rate,
        "whole": config.full_learning_rate,
        "head": config.head_learning_rate,
        "tower": config.tower_learning_rate,
        "projector": config.projector_learning_rate,
    }
    groups: dict[tuple[str, float, bool], list[torch.nn.Parameter]] = {}
    for name, parameter in module.trained().items():
        key = (module.part_of(name), module.start_of(name), parameter.ndim > 1)
        groups.setdefault(key, []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": rates[part],
            "peak": rates[part],
            "start": start,
            "weight_decay": config.weight_decay if is_matrix else 0.0,
        }
        for (part, start, is_matrix), parameters in groups.items()
    ]


def _placed(inputs: dict[str, torch.Tensor], device: torch.device) -> dict[str, torch.Tensor]:
    return {name: tensor.to(device, non_blocking=True) for name, tensor in inputs.items()}


def _as_is(batches: list[MicroBatch]) -> list[MicroBatch]:
    return batches
