"""Whether a run's ledger has something new to publish, and the label version that is made of it."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version

import pyarrow as pa
import pyarrow.compute as pc

from nrray import __version__
from nrray.console.reporter import Reporter
from nrray.models.engines.served import ServedModel
from nrray.pipelines.relabel.job import RelabelJob, rethresholding, thresholds_in_use
from nrray.results.figures import RunFigures
from nrray.results.identity import OutputIdentity, StrategyEntry, bound_identity
from nrray.results.ledger import Ledger
from nrray.results.ledger_tables import Reread, ledger_tables
from nrray.results.publish import Published, VersionTables, is_whole, point_latest, write_version
from nrray.results.version import Provenance, PublishedState, VersionKind, VersionRecord, last_of_kind, latest_record
from nrray.storage import absolute_uri


@dataclass(frozen=True, kw_only=True)
class Publication:
    """The version of relabel that says what the ledger does; published: None where it was there already."""

    record: VersionRecord
    published: Published | None


def publish_if_due(
    job: RelabelJob, index: pa.Table, *, counts: dict[str, int], measured: RunFigures | None, reporter: Reporter
) -> Publication:
    """The next label version, unless the last one of relabel already says all that the ledger does. A version that was merged
    or imported stays the latest in either case. Raises DataError, StorageError."""
    state = _state(job, index, counts)
    last, latest = last_of_kind(job.output, VersionKind.RELABEL), latest_record(job.output)
    if last is not None and latest is not None and last.state == state and is_whole(job.output, last):
        reporter.say(_unchanged_sentence(last, latest))
        point_latest(job.output, latest.version)  # a run that was killed right after its version has not done so
        return Publication(record=last, published=None)
    provenance = _provenance(job, state, kind=VersionKind.RELABEL, parents=(), measured=measured)
    published = write_version(job.output, provenance, _tables(job, index))
    if latest is not None and latest.kind is not VersionKind.RELABEL:
        reporter.say(_kept_sentence(published, latest))
    return Publication(record=published.record, published=published)


def publish_restated(
    job: RelabelJob, index: pa.Table, *, counts: dict[str, int], reread: Reread, reporter: Reporter
) -> Publication:
    """A version of the ledger's answers, read again, unless the last such one says the same. Raises DataError, StorageError."""
    last, latest = last_of_kind(job.output, VersionKind.RELABEL), latest_record(job.output)
    provenance = _provenance(
        job,
        _state(job, index, counts),
        kind=VersionKind.RESTATE,
        parents=() if last is None else (last.version,),
        measured=None,
    )
    before = last_of_kind(job.output, VersionKind.RESTATE)
    if before is not None and latest is not None and _decides(before) == _decides(provenance):
        reporter.say(_unchanged_sentence(before, latest))
        return Publication(record=before, published=None)
    published = write_version(job.output, provenance, _tables(job, index, reread))
    if latest is not None and latest.kind in (VersionKind.MERGE, VersionKind.IMPORT):
        reporter.say(
            f"{latest.title} stays the latest version, as nothing is published over what people say: the restated labels are in "
            f"{published.folder} alone."
        )
    return Publication(record=published.record, published=published)


def _decides(made: Provenance) -> tuple[object, ...]:
    """All that decides what a restated version says."""
    return made.identity, made.state, made.label_set, made.thresholds, made.parents


def _state(job: RelabelJob, index: pa.Table, counts: dict[str, int]) -> PublishedState:
    return PublishedState(
        units=counts,
        ledger_rows=index.num_rows,
        attempts=int(pc.sum(index["attempts"]).as_py() or 0),
        videos=_digest_of_videos(job.manifest),
        segment_rule=job.config.segments,
        domain_rule=job.domain_rule,
    )


def _unchanged_sentence(last: VersionRecord, latest: VersionRecord) -> str:
    if last.version == latest.version:
        return f"nothing has changed since {last.version}: it stays the latest version"
    return f"nothing has changed since {last.version}; {latest.title} stays the latest version"


def _kept_sentence(published: Published, latest: VersionRecord) -> str:
    if latest.kind is VersionKind.RESTATE:
        return (
            f"{latest.title} stays the latest version, as answers that were read again are: the new labels are in "
            f"{published.folder} alone. `nrray relabel --restate` reads the new answers too."
        )
    return (
        f"{latest.title} stays the latest version, as relabel never publishes over it: the new labels are in "
        f"{published.folder} alone. Read them there, or merge the corrections into them."
    )


def _provenance(
    job: RelabelJob,
    state: PublishedState,
    *,
    kind: VersionKind,
    parents: tuple[str, ...],
    measured: RunFigures | None,
) -> Provenance:
    return Provenance(
        kind=kind,
        parents=parents,
        run_id=job.run_id,
        nrray_version=__version__,
        ray_version=version("ray") if kind is VersionKind.RELABEL else None,
        identity=_decided_identity(job),
        state=state,
        config=job.config.model_dump(mode="json"),
        label_set=job.label_set,
        thresholds=thresholds_in_use(job),
        prompt_digests=prompt_digests(job.identity.strategy),
        manifest=absolute_uri(job.config.manifest),
        server=job.checkpoint.record() if isinstance(job.checkpoint, ServedModel) else None,
        measured=measured,
    )


def prompt_digests(strategy: StrategyEntry | None) -> dict[str, str]:
    """sha256 of each text in a strategy's prompts and, behind "judge: ", in those of its judge."""
    entry = strategy or {}
    judge = entry.get("judge")
    asked, judged = entry.get("prompts"), judge.get("prompts") if isinstance(judge, dict) else None
    texts = dict(asked) if isinstance(asked, dict) else {}
    texts |= {f"judge: {name}": text for name, text in judged.items()} if isinstance(judged, dict) else {}
    return {name: hashlib.sha256(str(text).encode()).hexdigest() for name, text in texts.items()}


def _decided_identity(job: RelabelJob) -> OutputIdentity:
    """The job's identity with the dtype that the output is tied to: the job was checked to differ in nothing else."""
    bound = bound_identity(job.output)
    return job.identity if bound is None else job.identity.model_copy(update={"dtype": bound.dtype})


def _tables(job: RelabelJob, index: pa.Table, reread: Reread | None = None) -> Iterator[VersionTables]:
    return ledger_tables(
        Ledger(job.output),
        manifest=job.manifest,
        units=job.plan.units,
        index=index,
        sampling=job.sampling,
        activities=job.label_set.names,
        rule=job.config.segments,
        rethreshold=rethresholding(job),
        domain_rule=job.domain_rule,
        reread=reread,
        source=f"{job.checkpoint.name}@{job.identity.model[:12]}",
    )


def _digest_of_videos(manifest: pa.Table) -> str:
    """Of the coverage of videos before anything is tried: which there are, and why some cannot be read."""
    rows = manifest.select(["video_id", "reason"]).sort_by("video_id").to_pylist()
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
