"""Runs windows and questions through a vision-language model: frames first, then the words of a question."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from nrray.models.families.family import (
    HiddenStates,
    LoadedCheckpoint,
    UnitForward,
    WindowRunner,
    distances,
    watched,
)
from nrray.models.families.tower_moments import Moments, moments_of
from nrray.types import Frames


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A question behind frames, laid out for windows of one shape. inputs: the processor's tensors of a window but its pixels;
    positions: (1, L) of its tokens, or (3, 1, L) where the model counts time, height and width of frames apart."""

    question: str
    inputs: Mapping[str, torch.Tensor]
    positions: torch.Tensor

    @property
    def token_ids(self) -> torch.Tensor:
        """(1, L) int64."""
        return self.inputs["input_ids"]


class UnitInputs:
    """Windows of a unit as arguments of a model's forward. Here no window shares anything with another."""

    def __init__(self, runner: "PromptRunner", frames: Frames) -> None:
        self._runner = runner
        self._frames = frames

    def of(self, rows: slice, prompt: Prompt) -> dict[str, Any]:
        """The arguments for windows `rows` and a whole prompt, frames included: tensors, and what a tower has put out."""
        return self._runner.window_inputs(self._frames, rows, question=prompt.question)

    def moments(self, rows: slice, outputs: Sequence[torch.Tensor]) -> Moments | None:
        """Of windows `rows`, whose forward made the tower put out `outputs`, where it was watched."""
        return moments_of(outputs, count=rows.stop - rows.start)


class PromptRunner(WindowRunner):
    """Prompts are laid out once for all windows of a shape."""

    def __init__(self, checkpoint: LoadedCheckpoint) -> None:
        super().__init__(checkpoint)
        self._prompts: dict[tuple[Any, ...], Prompt] = {}

    def prompt(self, frames: Frames, question: str) -> Prompt:
        """The question, behind a window of the unit."""
        key = (question, frames.window_frames.shape[1], *frames.pixels.shape[1:3], frames.frames_per_second)
        if key not in self._prompts:
            inputs = self.window_inputs(frames, slice(0, 1), question=question)
            positions = prompt_positions(self._checkpoint.model, inputs)
            others = {name: tensor for name, tensor in inputs.items() if not name.startswith("pixel")}
            self._prompts[key] = Prompt(question=question, inputs=others, positions=positions)
        return self._prompts[key]

    def unit_inputs(self, frames: Frames, *, micro_batch_windows: int) -> UnitInputs:
        """The unit's windows; what they share is computed once, here."""
        return UnitInputs(self, frames)

    def unit_forward(self, frames: Frames, *, question: str, micro_batch_windows: int) -> UnitForward:
        prompt = self.prompt(frames, question)
        inputs = self.unit_inputs(frames, micro_batch_windows=micro_batch_windows)
        checkpoint = self._checkpoint

        def forward(rows: slice) -> HiddenStates:
            with watched(checkpoint) as outputs:
                states = checkpoint.family.hidden_states(checkpoint, inputs.of(rows, prompt))
            return replace(states, distances=distances(checkpoint, inputs.moments(rows, outputs)))

        return forward


def prompt_positions(model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """(B, L) of the tokens in a processor's tensors, or (3, B, L): what the model itself would take for the whole prompts. Those
    of a part cannot be had of the part: Qwen2.5-VL counts on from the largest position so far, which depends on the cut."""
    if (rope_index := getattr(model.base_model, "get_rope_index", None)) is not None:
        known = inspect.signature(rope_index).parameters.keys() & inputs.keys()
        positions: torch.Tensor = rope_index(**{name: inputs[name] for name in known})[0]
        return positions
    token_ids = inputs["input_ids"]
    return torch.arange(token_ids.shape[1], device=token_ids.device).expand(token_ids.shape)
