"""AdamW over the trained parts of a module, each with a learning rate and a start of its own, which follow one schedule."""

import math
from collections.abc import Mapping
from typing import Any

import torch

from nrray.train.schedule import Schedule
from nrray.train.trainee.trainee import HEAD_PART, Trainee
from nrray.train.training_config import ResolvedTraining

MOMENTS = ("exp_avg", "exp_avg_sq")  # of AdamW: two tensors for each parameter


class Optimizer:
    """Steps of a training, at the learning rates of the step."""

    def __init__(self, module: Trainee, config: ResolvedTraining) -> None:
        self._main_part = module.main_part
        self._adamw = torch.optim.AdamW(_parameter_groups(module, config))

    @property
    def main_rate(self) -> float:
        """The learning rate of the last step, of the trainee's main part: those of other parts go with it."""
        return float(next(group["lr"] for group in self._adamw.param_groups if group["part"] == self._main_part))

    def step(self, step: int, schedule: Schedule) -> None:
        """Move the parameters by their gradients, which are gone then. What has not begun to learn yet stays."""
        for group in self._adamw.param_groups:
            group["lr"] = group["peak"] * schedule.share(step, start=group["start"])
        self._adamw.step()
        self.forget_gradients()

    def forget_gradients(self) -> None:
        """Free all gradients."""
        self._adamw.zero_grad(set_to_none=True)

    def moments(self, parameter: torch.nn.Parameter) -> dict[str, torch.Tensor]:
        """The moments of a parameter, none before its first step."""
        state = self._adamw.state.get(parameter, {})
        return {key: state[key] for key in MOMENTS if key in state}

    def restore(self, parameter: torch.nn.Parameter, moments: Mapping[str, torch.Tensor | None], *, step: int) -> None:
        """Go on with a parameter as it was after so many steps; moments: as they were given, None before the first step."""
        known = {key: tensor.to(parameter.device) for key, tensor in moments.items() if tensor is not None}
        if known:
            self._adamw.state[parameter] = {"step": torch.tensor(float(step)), **known}


def _parameter_groups(module: Trainee, config: ResolvedTraining) -> list[dict[str, Any]]:
    """Of each: parameters, peak of the learning rate, weight decay, and the step at which it begins to learn."""
    rates = {
        "language_model": config.learning_rate,
        "whole": config.full_learning_rate,
        "head": config.head_learning_rate,
        "tower": config.tower_learning_rate,
        "projector": config.projector_learning_rate,
    }
    groups: dict[tuple[str, int, bool], list[torch.nn.Parameter]] = {}
    for name, parameter in module.trained().items():
        part, start = module.part_of(name), math.ceil(module.start_of(name) * config.num_steps)
        start = start if part == HEAD_PART else max(start, config.head_first_steps)
        groups.setdefault((part, start, parameter.ndim > 1), []).append(parameter)
    return [
        {
            "params": parameters,
            "part": part,
            "lr": rates[part],
            "peak": rates[part],
            "start": start,
            "weight_decay": config.weight_decay if is_matrix else 0.0,
        }
        for (part, start, is_matrix), parameters in groups.items()
    ]
