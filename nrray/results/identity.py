"""The identity of an output: everything that decides its labels, in identity.json. A run of another identity is refused."""

import re
from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, JsonValue

from nrray.documents import Document, document_from
from nrray.errors import DataError, IdentityError
from nrray.plan import Packing
from nrray.sampling import Sampling
from nrray.storage import Folder

IDENTITY_FILE = "identity.json"


def _with_kind(strategy: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if not isinstance(strategy.get("kind"), str):
        raise ValueError("expected a strategy with its kind")
    return strategy


StrategyEntry = Annotated[dict[str, JsonValue], AfterValidator(_with_kind)]
"""A strategy as its class describes it: `kind`, and whatever of it decides a label, such as prompts, instruction, parser
and rules."""


class OutputIdentity(Document):
    """Everything that decides the labels of an output."""

    newest_version: ClassVar[int] = 2

    schema_version: int = 2
    model: str = Field(description="digest of the weights in use, adapter included")
    dtype: str | None = Field(description="number format of the weights; None: `auto`, and no device has decided yet")
    strategy: StrategyEntry | None = Field(description="None: of a release that recorded none")
    label_set: str = Field(description="digest of the label set")
    sampling: Sampling
    packing: Packing
    decoder: str
    shown: str | None = Field(None, description="what the model was shown in place of the video; None: the video")


def bind_identity(output: Folder, identity: OutputIdentity, *, unrecorded_strategy: StrategyEntry) -> None:
    """Tie an output to an identity, or check that it is tied to an equal one. `unrecorded_strategy` is that of an
    output whose identity.json records none.

    Raises IdentityError that names each key that differs and both values, DataError where identity.json is damaged.
    """
    before = bound_identity(output)
    if before is None:
        output.write_json(IDENTITY_FILE, identity.model_dump(mode="json"))
    else:
        _refuse_another(output, _with_strategy(before, unrecorded_strategy), identity)


def check_identity(output: Folder, identity: OutputIdentity, *, unrecorded_strategy: StrategyEntry) -> None:
    """As bind_identity, but writes nothing, and compares no dtype that is undecided."""
    before = bound_identity(output)
    if before is None:
        return
    if identity.dtype is None:
        before = before.model_copy(update={"dtype": None})
    _refuse_another(output, _with_strategy(before, unrecorded_strategy), identity)


# Keys that decide how answers are read, not which ones a model gives: what it is told of the label set stands in the prompts.
_OF_READING = re.compile(
    r"label_set|strategy\.(parser|thresholds|applies_rules|min_label_mass|calibration\b.*|not_stated|judge\.(claims\b.*|negations))"
)


def check_same_answers(
    output: Folder, identity: OutputIdentity, *, unrecorded_strategy: StrategyEntry
) -> OutputIdentity:
    """The identity that an output is tied to, of whose answers `identity` gives another reading: it differs in nothing that
    decides an answer. Raises IdentityError where it does, DataError where the output is tied to none."""
    before = bound_identity(output)
    if before is None:
        raise DataError(f"{output}: found no {IDENTITY_FILE}, expected an output of nrray relabel. Run it first.")
    if identity.dtype is None:
        identity = identity.model_copy(update={"dtype": before.dtype})
    differing = _differing(_with_strategy(before, unrecorded_strategy), identity)
    if asked_otherwise := {key: text for key, text in differing.items() if not _OF_READING.fullmatch(key)}:
        raise IdentityError(
            f"{output} has answers of other settings, which cannot be read as answers of these:\n"
            + "\n".join(asked_otherwise.values())
            + "\nSet these back, or run nrray relabel with another output."
        )
    return before


def bound_identity(output: Folder) -> OutputIdentity | None:
    """The identity that an output is tied to; None where it is new. Raises DataError where identity.json is damaged, or
    of a newer nrray."""
    if not output.exists(IDENTITY_FILE):
        return None
    data = identity_document(output.read_json(IDENTITY_FILE))
    return document_from(OutputIdentity, data, name=IDENTITY_FILE, folder=str(output))


def identity_document(data: object) -> object:
    """The JSON of an identity with the keys that the release before did not write."""
    if not isinstance(data, dict) or "schema_version" in data:
        return data
    return {"dtype": None, **data, "schema_version": 1, "strategy": None}


def _with_strategy(identity: OutputIdentity, strategy: StrategyEntry) -> OutputIdentity:
    return identity if identity.strategy is not None else identity.model_copy(update={"strategy": strategy})


def _refuse_another(output: Folder, before: OutputIdentity, identity: OutputIdentity) -> None:
    if differing := _differing(before, identity):
        is_reading = "parser" in (identity.strategy or {}) and all(map(_OF_READING.fullmatch, differing))
        restate = " Or let the answers that it has be read this way, without the model: nrray relabel --restate."
        raise IdentityError(
            f"{output} was made with other settings, and labels of two kinds are never mixed:\n"
            + "\n".join(differing.values())
            + f"\nChoose another output, or set these back.{restate if is_reading else ''}"
        )


def _differing(before: OutputIdentity, identity: OutputIdentity) -> dict[str, str]:
    """Each key in which two identities differ, with both values as text."""
    this_output, this_run = (
        dict(_leaves(value.model_dump(mode="json", exclude={"schema_version"}))) for value in (before, identity)
    )
    return {
        key: f"  {key}: this output {this_output.get(key)!r}, this run {this_run.get(key)!r}"
        for key in sorted({*this_output, *this_run})
        if this_output.get(key) != this_run.get(key)
    }


def _leaves(document: dict[str, JsonValue], prefix: str = "") -> Iterator[tuple[str, JsonValue]]:
    """Every value that is no mapping, with its dotted key."""
    for key, value in document.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
