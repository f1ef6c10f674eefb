"""All that a training needs to go on where it was, as one safetensors file, and where such files are kept."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from nrray.errors import DataError
from nrray.storage import Folder

STATES, HISTORY_FILE = "checkpoints", "history.jsonl"
_KEPT = 2


@dataclass(kw_only=True)
class Progress:
    """How far a training has come; history: what was measured, in order."""

    step: int = 0
    best_step: int = 0
    best_macro_f1: float | None = None
    validations_without_better: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class TrainingState:
    """tensors: weights/, average/, best/, exp_avg/ and exp_avg_sq/ of every trained tensor, and rng/; identity: what decides
    the result."""

    progress: Progress
    tensors: dict[str, torch.Tensor]
    identity: dict[str, Any]


class Records:
    """States and history in the output of a training. A state appears whole or not at all; the last two are kept."""

    def __init__(self, output: Folder) -> None:
        self._output = output
        self._states = output / STATES

    def write_state(self, state: TrainingState) -> None:
        """Raises StorageError."""
        self._states.create()
        facts = {"progress": json.dumps(asdict(state.progress)), "identity": json.dumps(state.identity)}
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.tensors.items()}
        self._states.write_bytes(_state_name(state.progress.step), save(tensors, metadata=facts))
        for name in self._states.names(".safetensors")[:-_KEPT]:
            self._states.remove(name)

    def read_state(self, identity: dict[str, Any]) -> TrainingState | None:
        """The last state, or None before there is one. Raises DataError where it is of other settings or cannot be read."""
        names = self._states.names(".safetensors")
        if not names:
            return None
        where = self._states.path(names[-1])
        data = self._states.read_bytes(names[-1])
        try:
            tensors = load(data)
            facts = _metadata(data)
            state = TrainingState(
                progress=Progress(**json.loads(facts["progress"])),
                tensors=tensors,
                identity=json.loads(facts["identity"]),
            )
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{where}: no checkpoint of a training ({error}). Delete it: the one before it is taken, or training starts anew."
            ) from None
        if changed := _changed_keys(state.identity, identity):
            raise DataError(
                f"{self._output} holds a training with other settings: {', '.join(changed)} differ. Train into another output, "
                f"or delete this one."
            )
        return state

    def write_history(self, history: list[dict[str, Any]]) -> None:
        """Raises StorageError."""
        lines = "".join(json.dumps(event) + "\n" for event in history)
        self._output.write_bytes(HISTORY_FILE, lines.encode(), durable=False)


def _state_name(step: int) -> str:
    return f"step-{step:08d}.safetensors"


def _metadata(data: bytes) -> dict[str, str]:
    length = int.from_bytes(data[:8], "little")  # safetensors: a length, then JSON, then tensors
    found: dict[str, str] = json.loads(data[8 : 8 + length])["__metadata__"]
    return found


def _changed_keys(found: dict[str, Any], expected: dict[str, Any], path: str = "") -> list[str]:
    changed = []
    for key in sorted(found.keys() | expected.keys()):
        ours, theirs, where = found.get(key), expected.get(key), f"{path}{key}"
        if isinstance(ours, dict) and isinstance(theirs, dict):
            changed += _changed_keys(ours, theirs, f"{where}.")
        elif ours != theirs:
            changed.append(where)
    return changed
