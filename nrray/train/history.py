"""The history of a training: one event a line of history.jsonl, each of a named type. No torch."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, JsonValue, TypeAdapter

from nrray.errors import DataError
from nrray.nested import json_from
from nrray.storage import Folder

HISTORY_FILE = "history.jsonl"


@dataclass(frozen=True, kw_only=True)
class _Moment:
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    step: int
    num_steps: int
    unix_seconds: float


@dataclass(frozen=True, kw_only=True)
class TrainingStarted(_Moment):
    """A training starts at step 0, or goes on at a later one; unreadable_checkpoints: names and reasons of later states."""

    event: Literal["started"] = "started"
    num_workers: int
    unreadable_checkpoints: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StepMeasured(_Moment):
    """Optimizer steps: the mean loss of those since the last such event, all else of the last one."""

    event: Literal["steps"] = "steps"
    loss: float
    learning_rate: float
    gradient_norm: float
    windows_per_second: float
    seconds_left: float


@dataclass(frozen=True, kw_only=True)
class Validated(_Moment):
    """A validation: cross-entropy, F1 of each activity, and their mean over those that count; None without a positive window.

    F1 is at the thresholds that are best on these very windows: good to compare steps, too high for other cases.
    """

    event: Literal["validated"] = "validated"
    validation_loss: float
    validation_macro_f1: float | None
    validation_f1: dict[str, float | None] = field(default_factory=dict)


Event = Annotated[TrainingStarted | StepMeasured | Validated, Field(discriminator="event")]
_EVENT: TypeAdapter[TrainingStarted | StepMeasured | Validated] = TypeAdapter(Event)


def write_history(output: Folder, history: Iterable[Event]) -> None:
    """Write all events of a training. Raises StorageError."""
    lines = "".join(json.dumps(asdict(event)) + "\n" for event in history)
    output.write_bytes(HISTORY_FILE, lines.encode(), durable=False)


def read_history(output: Folder) -> list[Event]:
    """The events of the training in `output` so far, none before it has begun. Raises DataError, StorageError."""
    if not output.exists(HISTORY_FILE):
        return []
    events = []
    for number, line in enumerate(output.read_bytes(HISTORY_FILE).splitlines(), start=1):
        try:
            events.append(event_from_json(json_from(line)))
        except ValueError:
            raise DataError(
                f"{output.path(HISTORY_FILE)} is damaged: line {number} is no event of a training: {line[:80]!r}. Delete the "
                f"file; the model beside it is not affected."
            ) from None
    return events


def validations(history: Iterable[Event]) -> list[Validated]:
    """The validations of a training, in order."""
    return [event for event in history if isinstance(event, Validated)]


def best_validation(history: Iterable[Event]) -> Validated | None:
    """The validation whose weights are kept: of the highest macro F1, of equal ones the lowest loss, the first of those. None
    where no validation has a macro F1."""
    scored = [(event.validation_macro_f1, -event.validation_loss, event) for event in validations(history)]
    known = [(macro, merit, event) for macro, merit, event in scored if macro is not None]
    return max(known, key=lambda row: row[:2])[2] if known else None


def training_seconds(history: Iterable[Event]) -> float:
    """Time from each start to the last event before the next one."""
    total, start, last = 0.0, None, 0.0
    for event in history:
        if isinstance(event, TrainingStarted):
            total += last - start if start is not None else 0.0
            start = event.unix_seconds
        last = event.unix_seconds
    return round(total + (last - start if start is not None else 0.0), 1)


def event_from_json(document: JsonValue) -> Event:
    """The event in a line of history.jsonl. Raises ValueError."""
    if isinstance(document, dict) and "event" not in document:
        document = _with_kind(document)
    return _EVENT.validate_python(document)


def _with_kind(document: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """A line of the release before, which names no event: one of its keys stands for one."""
    kinds = {"num_workers": "started", "validation_loss": "validated", "loss": "steps"}
    return {"event": next((kind for key, kind in kinds.items() if key in document), None), **document}
