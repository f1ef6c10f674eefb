"""All that a training needs to go on where it was, as one safetensors file, and where such files are kept."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from nrray.errors import DataError
from nrray.storage import Folder
from nrray.train.history import HISTORY_FILE, STOP_FILE
from nrray.train.trackers import Tracker, numbers

STATES = "checkpoints"
_KEPT = 2


@dataclass(kw_only=True)
class Progress:
    """How far a training has come; history: what was measured, in order; recent_losses: of steps since it last told one."""

    step: int = 0
    best_step: int = 0
    best_macro_f1: float | None = None
    best_loss: float | None = None  # of the validation at best_step
    validations_without_better: int = 0
    recent_losses: list[float] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class TrainingState:
    """tensors: weights/, average/, best/, exp_avg/ and exp_avg_sq/ of every trained tensor, and rng/."""

    progress: Progress
    tensors: dict[str, torch.Tensor]


class Records:
    """States and history in the output of a training. A state appears whole or not at all; the last two are kept.
    identity: what decides the result, so that no other training goes on from them."""

    def __init__(self, output: Folder, identity: Mapping[str, Any], trackers: Sequence[Tracker] = ()) -> None:
        self._output = output
        self._states = output / STATES
        self._identity = dict(identity)
        self._trackers = trackers

    def write_state(self, state: TrainingState) -> None:
        """Raises StorageError."""
        self._states.create()
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.tensors.items()}
        facts = {
            "progress": json.dumps(asdict(state.progress)),
            "identity": json.dumps(self._identity),
            "digest": _digest(tensors),
        }
        mine = _state_name(state.progress.step)
        self._states.write_bytes(mine, save(tensors, metadata=facts))
        names = self._states.names(".safetensors")
        # Later ones could not be read, or this training would have gone on from them.
        for name in [name for name in names if name > mine] + [name for name in names if name <= mine][:-_KEPT]:
            self._states.remove(name)

    def read_state(self) -> tuple[TrainingState | None, list[str]]:
        """The last state that can be read, None before there is one, and the names of later ones that cannot.

        Raises DataError where it is of other settings, or none of several can be read.
        """
        unreadable = []
        for name in reversed(self._states.names(".safetensors")):
            try:
                state, identity = _loaded(self._states.read_bytes(name))
            except (SafetensorError, ValueError, KeyError, TypeError) as error:
                unreadable.append(f"{name} ({error})")
                continue
            self._check(identity, self._identity)
            return state, unreadable
        if unreadable:
            raise DataError(
                f"{self._states}: found no checkpoint that can be read, of {', '.join(unreadable)}. Delete the folder, and "
                f"training starts anew."
            )
        return None, []

    def check_identity(self, *, undecided: str) -> None:
        """Raises DataError where the last checkpoint is of other settings; the one that is `undecided` is not compared yet."""
        for name in reversed(self._states.names(".safetensors")):
            try:
                identity = json.loads(_metadata(self._states.read_bytes(name))["identity"])
            except (ValueError, KeyError, TypeError):
                continue  # whoever reads all of it says so
            self._check({**identity, undecided: None}, {**self._identity, undecided: None})
            return

    def _check(self, found: dict[str, Any], expected: dict[str, Any]) -> None:
        if changes := _changes(found, expected):
            raise DataError(
                f"{self._output} holds a training with other settings: {'; '.join(changes)}. Train into another output, set "
                f"these back, or delete this one."
            )

    def is_asked_to_stop(self) -> bool:
        """Whether somebody left a stop file: the training is to end after this step."""
        return self._output.exists(STOP_FILE)

    def write_history(self, history: Sequence[Mapping[str, Any]]) -> None:
        """What was measured, of which the last event is new. Raises StorageError."""
        lines = "".join(json.dumps(event) + "\n" for event in history)
        self._output.write_bytes(HISTORY_FILE, lines.encode(), durable=False)
        event = history[-1]
        for tracker in self._trackers:
            if "num_workers" in event:
                tracker.begin(event["step"])
            tracker.log(event["step"], numbers(event))


def _loaded(data: bytes) -> tuple[TrainingState, dict[str, Any]]:
    tensors, facts = load(data), _metadata(data)
    if _digest(tensors) != facts["digest"]:
        raise ValueError("its bytes are not those that were written")
    return TrainingState(progress=Progress(**json.loads(facts["progress"])), tensors=tensors), json.loads(
        facts["identity"]
    )


def _digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """Of names and bytes: a file that has its whole length may still have been damaged."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        total.update(name.encode())
        total.update(tensors[name].reshape(-1).view(torch.uint8).numpy())
    return total.hexdigest()


def _state_name(step: int) -> str:
    return f"step-{step:08d}.safetensors"


def _metadata(data: bytes) -> dict[str, str]:
    length = int.from_bytes(data[:8], "little")  # safetensors: a length, then JSON, then tensors
    found: dict[str, str] = json.loads(data[8 : 8 + length])["__metadata__"]
    return found


def _changes(found: dict[str, Any], expected: dict[str, Any], path: str = "") -> list[str]:
    """Which settings differ; of plain ones also how."""
    changes = []
    for key in sorted(found.keys() | expected.keys()):
        there, here, where = found.get(key), expected.get(key), f"{path}{key}"
        if isinstance(there, dict) and isinstance(here, dict):
            changes += _changes(there, here, f"{where}.")
        elif there != here:
            is_plain = all(len(repr(value)) <= 40 for value in (there, here))
            changes.append(f"{where} (there {there!r}, here {here!r})" if is_plain else where)
    return changes
