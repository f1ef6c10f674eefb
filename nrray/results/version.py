"""The record of a label version, its run.json: how the version was made, of which videos, and how many rows it has.

    <output>/versions/v0001/run.json

A version exists as soon as it has a record; versions are numbered in the order in which they were made.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, JsonValue, field_serializer, field_validator, model_validator

from nrray.config import Section
from nrray.documents import Document, document_from
from nrray.errors import DataError
from nrray.labels import LabelSet
from nrray.results.domain import DomainRecord, DomainRule
from nrray.results.figures import RunFigures
from nrray.results.identity import OutputIdentity, identity_document
from nrray.results.segments import SegmentRule
from nrray.storage import Folder
from nrray.types import LabelState

RECORD_FILE = "run.json"

_VERSION_NAME = re.compile(r"v\d{4,}")


class VersionKind(str, Enum):
    """How a version was made."""

    RELABEL = "relabel"  # from the ledger of a run
    MERGE = "merge"  # corrections by people, merged into its parents
    IMPORT = "import"  # annotations of another program
    RESTATE = "restate"  # its parent's answers read again, under another parser, thresholds or rules


class PublishedState(Section):
    """The state of plan and ledger that a version was published from; an equal one has nothing new to publish."""

    units: dict[str, int]  # planned ones by status, `not_run` among them
    ledger_rows: int
    attempts: int  # of all units together
    videos: str = Field(description="digest of the manifest's videos and of why some cannot be read")
    segment_rule: SegmentRule
    domain_rule: DomainRule | None = Field(None, description="None: the model knows no looks")


class Provenance(Section):
    """How a version is made: all of its record that is known before its tables are written."""

    kind: VersionKind
    parents: tuple[str, ...] = Field(description="versions that it was made from: names in this output, or folders")
    run_id: str
    nrray_version: str
    ray_version: str | None = Field(description="None: it was made without Ray")
    identity: OutputIdentity | None = Field(description="None: its labels are not of one model")
    state: PublishedState | None = Field(description="None: it was made without a ledger")
    config: dict[str, JsonValue] = Field(description="of the verb that made it")
    label_set: LabelSet
    thresholds: dict[str, float] = Field(description="score from which an activity is present")
    prompt_digests: dict[str, str] = Field({}, description="sha256 of each prompt's text, which the identity has")
    manifest: str
    server: dict[str, JsonValue] | None = Field(
        None, description="whose model made the labels, and where it is; None: no server's"
    )
    measured: RunFigures | None = Field(description="of the run that made it; None: there was nothing to run")

    @field_validator("measured", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == {} else value

    @field_serializer("measured")
    def _none_is_empty(self, value: RunFigures | None) -> dict[str, Any]:
        return {} if value is None else value.model_dump(mode="json")

    @model_validator(mode="after")
    def _a_run_is_complete(self) -> "Provenance":
        if self.kind is VersionKind.RELABEL and (self.identity is None or self.state is None):
            raise ValueError("a version of kind relabel has an identity and a state")
        return self


class VersionRecord(Document, Provenance):
    """The content of run.json."""

    newest_version: ClassVar[int] = 1

    version: str
    activities: tuple[str, ...]
    rows: dict[str, int]  # by file
    windows: dict[str, int]  # by coverage status
    domain: DomainRecord | None = Field(None, description="None: the model knows no looks, or no distance is known")
    states: dict[str, dict[str, int]] = Field({}, description="labels by activity and state")
    order_disagreement: float | None = Field(
        None,
        description="share of windows whose likeliest option changes with the order; None: none was asked in several",
    )
    unparsed_answers: tuple[str, ...] = Field((), description="the most frequent answers that could not be parsed")
    unreadable_files: int
    published_unix: int

    @property
    def title(self) -> str:
        """The version by its name; one that is not of a run of relabel with its kind and parents."""
        if self.kind is VersionKind.RELABEL:
            return self.version
        parents = f" of {' and '.join(self.parents)}" if self.parents else ""
        return f"{self.version} ({self.kind.value}{parents})"

    @property
    def states_together(self) -> Counter[str]:
        """Labels of all activities by state."""
        counts = Counter[str]()
        for by_state in self.states.values():
            counts.update(by_state)
        return counts

    @property
    def unparsed_share(self) -> float:
        """The share of labels that are answers which could not be parsed, of those that claim something or try to."""
        counts = self.states_together
        tried = counts.total() - counts[LabelState.NOT_ASSESSABLE.value]
        return counts[LabelState.UNPARSED.value] / tried if tried else 0.0

    @property
    def model_folder(self) -> str | None:
        """The folder that describes the model, an adapter's or a checkpoint's; None where no single model made the labels, or
        a server's did."""
        if self.server is not None:
            return None
        model = self.config.get("model")
        if not isinstance(model, dict):
            return None
        folder = model.get("adapter") or model.get("path")
        return None if folder is None else str(folder)


def read_version_record(version: Folder) -> VersionRecord:
    """The record of the version in a folder; one of the release before is of kind relabel. Raises DataError that names the
    file, and each key that is missing or wrong."""
    try:
        data = version.read_json(RECORD_FILE)
    except FileNotFoundError:
        raise DataError(f"{version} is no label version: it has no {RECORD_FILE}") from None
    if isinstance(data, dict) and "schema_version" not in data:
        data = {**data, "schema_version": 1, "kind": VersionKind.RELABEL.value, "parents": []}
        if "identity" in data:
            data["identity"] = identity_document(data["identity"])
    return document_from(VersionRecord, data, name=RECORD_FILE, folder=str(version))


def model_folders(version: Folder) -> frozenset[str]:
    """The folders that describe the models behind a version's labels, those of its parents too where they are still there.
    Raises DataError."""
    record = read_version_record(version)
    own = frozenset() if record.model_folder is None else frozenset({record.model_folder})
    parents = [_parent_folder(version, parent) for parent in record.parents]
    return own.union(*(model_folders(parent) for parent in parents if parent.exists(RECORD_FILE)))


def _parent_folder(version: Folder, parent: str) -> Folder:
    if not _VERSION_NAME.fullmatch(parent):
        return Folder(parent)
    # `latest` is a link: the names beside it are not those of versions.
    path = str(Path(version.path()).resolve()) if version.is_local else version.uri
    return Folder(f"{path.rstrip('/').rpartition('/')[0]}/{parent}")


def version_names(output: Folder) -> list[str]:
    """Published versions, oldest first; one without run.json was never finished and is not named."""
    versions = output / "versions"
    names = [name for name in versions.names() if _VERSION_NAME.fullmatch(name)]
    return sorted((name for name in names if (versions / name).exists(RECORD_FILE)), key=_version_number)


def next_version_name(output: Folder) -> str:
    """The name of the version that is written next."""
    known = version_names(output)
    return f"v{_version_number(known[-1]) + 1 if known else 1:04d}"


def newest_records(output: Folder) -> Iterator[VersionRecord]:
    """The records of an output's versions, the newest first, each read when it is asked for. Raises DataError, also for a
    version in a folder of another name."""
    for name in reversed(version_names(output)):
        record = read_version_record(output / "versions" / name)
        if record.version != name:
            raise DataError(
                f"{RECORD_FILE} of {output}/versions/{name} is of {record.version}: a copy of a version stands among the "
                f"versions. Move it out of {output}/versions."
            )
        yield record


def last_of_kind(output: Folder, kind: VersionKind) -> VersionRecord | None:
    """The newest version of a kind. Raises DataError."""
    return next((record for record in newest_records(output) if record.kind is kind), None)


def latest_record(output: Folder) -> VersionRecord | None:
    """The version that `latest` names; None where there is no version. Raises DataError."""
    records = list(newest_records(output))
    return latest_of(records) if records else None


def latest_of(records: Sequence[VersionRecord]) -> VersionRecord:
    """Of some versions, newest first, the one that `latest` names: the newest that was merged or imported, as nothing that a
    model says is published over what people say; without such a one the newest that was restated, else the newest."""
    of_people = (record for record in records if record.kind in (VersionKind.MERGE, VersionKind.IMPORT))
    restated = (record for record in records if record.kind is VersionKind.RESTATE)
    return next(of_people, None) or next(restated, None) or records[0]


def _version_number(name: str) -> int:
    return int(name[1:])
