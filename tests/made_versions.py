"""Records of label versions made without a run, for the tests of whoever writes or reads versions."""

from collections.abc import Sequence

from nrray.labels import Activity, LabelSet
from nrray.plan import Packing
from nrray.results.identity import OutputIdentity
from nrray.results.segments import SegmentRule
from nrray.results.version import Provenance, PublishedState, VersionKind, VersionRecord
from nrray.sampling import Sampling
from nrray.storage import Folder
from tests.made_tables import ACTIVITIES


def label_set(names: Sequence[str] = ACTIVITIES) -> LabelSet:
    return LabelSet(
        name="made",
        activities=tuple(
            Activity(name=name, definition="d", starts="s", ends="e", question=f"{name}?") for name in names
        ),
    )


IDENTITY = OutputIdentity(
    model="abc",
    dtype="float32",
    strategy={"kind": "yes_no", "prompts": {"suction": "Suction?"}, "instruction": "Yes or no?", "parser": "plain"},
    label_set="def",
    sampling=Sampling(),
    packing=Packing(),
    decoder="pyav",
)


def provenance(**changed) -> Provenance:
    """That of a run of relabel, but for `changed`."""
    fields = {
        "kind": VersionKind.RELABEL,
        "parents": (),
        "run_id": "r",
        "nrray_version": "0.1.0",
        "ray_version": "2.60.0",
        "identity": IDENTITY,
        "state": PublishedState(
            units={"ok": 3, "not_run": 1}, ledger_rows=3, attempts=3, videos="v", segment_rule=SegmentRule()
        ),
        "config": {"model": {"path": "embedded", "adapter": None}},
        "label_set": label_set(),
        "thresholds": dict.fromkeys(ACTIVITIES, 0.5),
        "manifest": "/scan/manifest.parquet",
        "measured": None,
    }
    return Provenance(**{**fields, **changed})


def merge_provenance(*parents: str, **changed) -> Provenance:
    """That of a merge, which knows neither a ledger nor Ray nor one model."""
    merged = {"kind": VersionKind.MERGE, "parents": parents, "ray_version": None, "identity": None, "state": None}
    return provenance(**{**merged, "config": {}, "thresholds": {}, **changed})


def write_record(version: Folder, made: Provenance | None = None, **changed) -> VersionRecord:
    """A run.json alone, in a folder that is called as its version."""
    made = made or provenance()
    counts = {"activities": made.label_set.names, "rows": {}, "windows": {}, "unreadable_files": 0, "published_unix": 0}
    fields = {key: getattr(made, key) for key in Provenance.model_fields}
    name = version.uri.rpartition("/")[2]
    record = VersionRecord(**{"schema_version": 1, "version": name, **fields, **counts, **changed})
    version.create()
    version.write_json("run.json", record.model_dump(mode="json"))
    return record
