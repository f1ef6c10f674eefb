"""The state of a training between two steps as one safetensors file, and the files of a training that has begun."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from pydantic import JsonValue
from safetensors import SafetensorError
from safetensors.torch import load, save

from nrray.errors import DataError
from nrray.storage import Folder
from nrray.train.history import Event, TrainingStarted, write_history
from nrray.train.job import FRAMES, UNDECIDED
from nrray.train.output import STOP_FILE
from nrray.train.progress import Progress
from nrray.train.trackers import Tracker, numbers
from nrray.wording import counted

STATES = "checkpoints"
_KEPT = 2
_LENGTH_BYTES = 8  # safetensors: the header's length, little-endian, then the header, which is JSON, then tensors
_MAX_HEADER_BYTES = 100_000_000  # as safetensors itself has it

Identity = Mapping[str, JsonValue]
"""The settings and digests that decide the result of a training."""


@dataclass(frozen=True, kw_only=True)
class TrainingState:
    """tensors: weights/, average/, best/, exp_avg/ and exp_avg_sq/ of every trained tensor, logits/ of every validation by its
    step, and rng/."""

    progress: Progress
    tensors: dict[str, torch.Tensor]


class Records:
    """States and history in the output of a training. A state appears whole or not at all; the last two are kept. A training
    of another identity does not go on from them."""

    def __init__(self, output: Folder, identity: Identity, trackers: Sequence[Tracker] = ()) -> None:
        self._output = output
        self._states = output / STATES
        self._identity = dict(identity)
        self._trackers = trackers

    def write_state(self, state: TrainingState) -> None:
        """Raises StorageError."""
        self._states.create()
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.tensors.items()}
        facts = {
            "progress": json.dumps(state.progress.document()),
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

    def check_identity(self, *, undecided: Collection[str] = UNDECIDED) -> None:
        """Raises DataError where the last checkpoint is of other settings; those that are `undecided` are not compared yet. Of a
        checkpoint only the header is read."""
        for name in reversed(self._states.names(".safetensors")):
            try:
                identity = json.loads(_read_facts(self._states, name)["identity"])
            except (ValueError, KeyError, TypeError):
                continue  # read_state reports it
            later = dict.fromkeys(undecided)
            self._check({**identity, **later}, {**self._identity, **later})
            return

    def _check(self, found: Identity, expected: Identity) -> None:
        if FRAMES not in found:  # of a release that did not note them
            expected = {key: value for key, value in expected.items() if key != FRAMES}
        changes = _changes(found, expected)
        if changes and all(change.startswith(f"{FRAMES}.") for change in changes):
            videos = sorted(_differing(found[FRAMES], expected[FRAMES]))
            raise DataError(
                f"{self._output} holds a training that has seen other pixels of {counted(len(videos), 'video')}, such as "
                f"{videos[0]}: its file, the decoder's version or a file in store.folder is another one now. Put back what it "
                f"was trained on and delete store.folder, train into another output, or delete this one."
            )
        if changes:
            raise DataError(
                f"{self._output} holds a training with other settings: {'; '.join(changes)}. Train into another output, set "
                f"these back, or delete this one."
            )

    def is_asked_to_stop(self) -> bool:
        """Whether somebody left a stop file: the training is to end after this step."""
        return self._output.exists(STOP_FILE)

    def write_history(self, history: Sequence[Event]) -> None:
        """Write all events; trackers are given the last one, which is new. Raises StorageError."""
        write_history(self._output, history)
        event = history[-1]
        for tracker in self._trackers:
            if isinstance(event, TrainingStarted):
                tracker.begin(event.step)
            tracker.log(event.step, numbers(event))


def _loaded(data: bytes) -> tuple[TrainingState, dict[str, JsonValue]]:
    tensors, facts = load(data), _facts(data[_LENGTH_BYTES : _LENGTH_BYTES + _header_bytes(data)])
    if _digest(tensors) != facts["digest"]:
        raise ValueError("its bytes are not those that were written")
    progress = Progress.from_document(json.loads(facts["progress"]))
    return TrainingState(progress=progress, tensors=tensors), json.loads(facts["identity"])


def _read_facts(folder: Folder, name: str) -> dict[str, str]:
    length = _header_bytes(folder.read_range(name, 0, _LENGTH_BYTES))
    if length > _MAX_HEADER_BYTES:
        raise ValueError("it does not begin with a header")
    return _facts(folder.read_range(name, _LENGTH_BYTES, _LENGTH_BYTES + length))


def _header_bytes(data: bytes) -> int:
    return int.from_bytes(data[:_LENGTH_BYTES], "little")


def _facts(header: bytes) -> dict[str, str]:
    found: dict[str, str] = json.loads(header)["__metadata__"]
    return found


def _digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """Of names and bytes: a file that has its whole length may still have been damaged."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        total.update(name.encode())
        total.update(tensors[name].reshape(-1).view(torch.uint8).numpy())
    return total.hexdigest()


def _state_name(step: int) -> str:
    return f"step-{step:08d}.safetensors"


def _differing(found: JsonValue, expected: JsonValue) -> set[str]:
    """The keys whose values differ."""
    assert isinstance(found, dict)
    assert isinstance(expected, dict)
    return {key for key in found.keys() | expected.keys() if found.get(key) != expected.get(key)}


def _changes(found: Identity, expected: Identity, path: str = "") -> list[str]:
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
