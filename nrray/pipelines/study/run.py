"""`nrray study`: models are trained side by side as far as they fit the cluster, then each row labels on all of it; at last all
rows are measured together.

    <output>/rows/NAME/{labels,training,evaluation,...}, frames/, test-manifest.parquet, study.json, rows.parquet, table.md,
    table.tex, f1.png, reliability.png, index.html

Each row goes on where it was stopped, and one that is done is not done again. A row that fails says why; the others go on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from nrray.archive.cases import Cases, read_cases
from nrray.archive.manifest import check_manifest
from nrray.archive.splits import part_cases, read_split
from nrray.console.reporter import Reporter
from nrray.console.run_record import keep_record, refuse_other_output
from nrray.documents import document_from
from nrray.errors import ConfigError, DataError, IdentityError, NrrayError, OutputBusyError
from nrray.evaluate.chance_baselines import Baseline
from nrray.evaluate.inputs import input_notes, read_note, read_split_part
from nrray.evaluate.labelling import Labelling, read_labelling
from nrray.evaluate.training_cases import training_notes
from nrray.labels import LabelSet, read_label_set
from nrray.metrics.jackknife import few_cases_notes
from nrray.pipelines.on_ray.session import ray_session, terminated_as_interrupt
from nrray.pipelines.study.answer import answer
from nrray.pipelines.study.costs import row_costs
from nrray.pipelines.study.document import STUDY_FILE, RowFigures, StudyDocument
from nrray.pipelines.study.evaluations import write_evaluations
from nrray.pipelines.study.job import TEST_MANIFEST, StudyConfig, StudyRow
from nrray.pipelines.study.measuring import measured_rows
from nrray.pipelines.study.rows import changed_settings, run_row, trained_together
from nrray.results.version import RECORD_FILE, VersionRecord, read_version_record
from nrray.storage import Folder, absolute_uri, read_table
from nrray.writer_lock import WriterLock

TEST = "test"
NOT_RUN = "not run yet"


@dataclass(frozen=True, kw_only=True)
class Studied:
    """A written study; failures: row to the reason, of this call."""

    folder: str
    document: StudyDocument
    failures: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class StudyInputs:
    """What all rows have in common. videos: the manifest's rows of the test part."""

    label_set: LabelSet
    reference: Labelling
    cases: Cases
    case_ids: frozenset[str]
    videos: pa.Table


def run_study(
    config: StudyConfig, reporter: Reporter, *, only: Sequence[str] = (), allow_remote: bool = False
) -> Studied:
    """Run the rows named in `only`, or all, and measure every row that has all its labels. allow_remote: whether frames may be
    sent to a server outside the house. Raises ConfigError, DataError, IdentityError, OutputBusyError, StorageError, and DataError
    where no row could be measured."""
    config = config.model_copy(update={"output": absolute_uri(config.output)})
    chosen = chosen_rows(config, only)
    inputs = read_inputs(config)
    output = Folder(config.output)
    refuse_other_output(output, "study")
    _check_videos(output, inputs)
    before = _written_before(output)
    output.create()
    failures: dict[str, str] = {}
    with WriterLock(output), ray_session(), terminated_as_interrupt():
        keep_record(output, "study", config)
        output.write_table(TEST_MANIFEST, inputs.videos)
        failures |= trained_together(config, chosen, reporter)
        for number, row in enumerate(chosen):
            reporter.say(f"{number + 1}/{len(chosen)} {row.name}")
            if row.name in failures:
                continue
            try:
                run_row(config, row, reporter, allow_remote=allow_remote)
            except OutputBusyError:
                raise
            except NrrayError as error:
                failures[row.name] = str(error)
                reporter.say(f"{row.name!r} failed, the other rows go on: {error}")
        document = _document(config, inputs, failures, before)
        write_evaluations(config, document.rows, before)
        output.write_json(STUDY_FILE, document.model_dump(mode="json", by_alias=True))
    return Studied(folder=str(output), document=document, failures=failures)


def chosen_rows(config: StudyConfig, only: Sequence[str]) -> list[StudyRow]:
    """The rows of these names, all where none is given. Raises ConfigError for a name that no row has."""
    names = [row.name for row in config.rows]
    if unknown := [name for name in only if name not in names]:
        raise ConfigError(
            f"--only: found {', '.join(map(repr, unknown))}, expected some of {', '.join(map(repr, names))}"
        )
    return [row for row in config.rows if not only or row.name in only]


def read_inputs(config: StudyConfig) -> StudyInputs:
    """Raises DataError where the test part has no case, or no video in the manifest."""
    label_set, cases = read_label_set(config.label_set), read_cases(config.cases)
    case_ids = part_cases(read_split(config.split), TEST)
    if not case_ids:
        raise DataError(
            f"split {config.split}: the test part has no case, on which rows are measured. Split again with some."
        )
    manifest = read_table(config.manifest)
    check_manifest(manifest, name=config.manifest)
    is_test = [cases.case_of(path) in case_ids for path in manifest["path"].to_pylist()]
    videos = manifest.filter(pa.array(is_test, pa.bool_()))
    if not videos.num_rows:
        raise DataError(
            f"{config.manifest}: found no video of the {len(case_ids)} test cases of {config.split}, such as "
            f"{sorted(case_ids)[0]!r}. Give the manifest and the split of one archive."
        )
    reference = read_labelling(config.annotations, activities=label_set.names)
    return StudyInputs(label_set=label_set, reference=reference, cases=cases, case_ids=case_ids, videos=videos)


def _check_videos(output: Folder, inputs: StudyInputs) -> None:
    """Raise IdentityError where the rows of the output were measured on other videos."""
    if not output.exists(TEST_MANIFEST):
        return
    before, now = (set(table["content_id"].to_pylist()) for table in (output.read_table(TEST_MANIFEST), inputs.videos))
    if before != now:
        raise IdentityError(
            f"{output}: its rows were measured on {len(before)} test videos, of which this manifest and split have "
            f"{len(before & now)}, and {len(now - before)} others. Rows of two test parts cannot be compared: choose another "
            f"output, or set manifest and split back."
        )


def _written_before(output: Folder) -> StudyDocument | None:
    """What the output's study.json says; None where there is none. Raises DataError for one that cannot be read, such as a newer
    nrray's, which is not written over."""
    if not output.exists(STUDY_FILE):
        return None
    return document_from(StudyDocument, output.read_json(STUDY_FILE), name=STUDY_FILE, folder=str(output))


def _document(
    config: StudyConfig, inputs: StudyInputs, failures: dict[str, str], before: StudyDocument | None
) -> StudyDocument:
    """All rows that have all their labels, measured together; a read of the test part is noted where there is something new."""
    output = Folder(config.output)
    records = {row.name: _records(config, row) for row in config.rows}
    missing = {
        row.name: reason for row in config.rows if (reason := _missing(config, row, records[row.name], failures))
    }
    done = [row for row in config.rows if row.name not in missing]
    if not done:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in missing.items())
        raise DataError(f"{output}: no row has labels of the test part. {reasons}")
    uris = {row.name: [config.labels(row, seed) for seed in config.seeds_of(row)] for row in done}
    labellings = {
        row.name: [
            _labelling(config.labels(row, seed), row.name if seed is None else f"{row.name}, seed {seed}", inputs)
            for seed in config.seeds_of(row)
        ]
        for row in done
    }
    every = [labelling for of_row in labellings.values() for labelling in of_row]
    measured = measured_rows(
        labellings,
        inputs.reference,
        inputs.cases,
        case_ids=inputs.case_ids,
        label_set=inputs.label_set,
        balanced_windows=config.balanced_windows,
    )
    rows = tuple(
        RowFigures(
            **vars(measured.rows[row.name]),
            name=row.name,
            model=_model(row, records[row.name][0]),
            strategy=_way(row, records[row.name][0]),
            seeds=tuple(seed for seed in config.seeds_of(row) if seed is not None),
            versions=tuple(f"{record.version} of {record.published_unix}" for record in records[row.name]),
            costs=row_costs(config, row, records[row.name]),
            settings=_identity(records[row.name][0]),
            notes=_row_notes(records[row.name]),
        )
        for row in done
    )
    macro, *_ = measured.scopes
    chance = measured.baselines[Baseline.ALWAYS_YES][macro]
    notes = [
        *input_notes((*every, inputs.reference), inputs.cases, sidecar=config.cases),
        *measured.notes,
        *training_notes(
            every, [uri for of_row in uris.values() for uri in of_row], inputs.videos["path"].to_pylist(), inputs.cases
        ),
        *few_cases_notes(measured.num_cases),
    ]
    return StudyDocument(
        schema_version=StudyDocument.newest_version,
        settings=config,
        num_cases=measured.num_cases,
        hours=measured.hours,
        scopes=measured.scopes,
        macro_activities=measured.macro_activities,
        rows=rows,
        missing=missing,
        baselines=measured.baselines,
        differences=measured.differences,
        answer=answer(rows, measured.differences, macro=macro, num_cases=measured.num_cases, chance=chance),
        reads=_read_sentence(config, before, rows, every, inputs),
        notes=told_together(notes, [labelling.name for labelling in every]),
    )


def told_together(notes: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    """Notes that begin with the name of a labelling and are the same otherwise, as one."""
    found: dict[str, list[str]] = {}
    for note in dict.fromkeys(notes):
        name = next((name for name in names if note.startswith(f"{name}: ")), None)
        found.setdefault(note if name is None else note.removeprefix(f"{name}: "), []).extend([name] if name else [])
    return tuple(f"{'; '.join(of)}: {text}" if of else text for text, of in found.items())


def _labelling(uri: str, name: str, inputs: StudyInputs) -> Labelling:
    """Of a row and a seed; sentences on it say which."""
    return replace(read_labelling(uri, activities=inputs.label_set.names), name=name, place=name)


def _records(config: StudyConfig, row: StudyRow) -> list[VersionRecord]:
    """The versions of a row's labels, seed by seed; none where one lacks labels or has units that were not tried."""
    records = []
    for seed in config.seeds_of(row):
        latest = Folder(config.labels(row, seed)) / "latest"
        if not latest.exists(RECORD_FILE):
            return []
        record = read_version_record(latest)
        if record.state is not None and record.state.units.get("not_run", 0):
            return []
        records.append(record)
    return records


def _missing(
    config: StudyConfig, row: StudyRow, records: Sequence[VersionRecord], failures: dict[str, str]
) -> str | None:
    """Why a row has no figures; None where it has."""
    if row.name in failures:
        return failures[row.name]
    if not records:
        return NOT_RUN
    changed = changed_settings(config, row, records)
    return f"{', '.join(changed)} changed since it was run: set back, or choose another name" if changed else None


def _model(row: StudyRow, record: VersionRecord) -> str:
    """What labels, by the name that the config or its server has for it."""
    if row.finetune is not None and row.finetune.timesformer is not None:
        return "TimeSformer"
    return row.model.path if record.server is None else f"served at {record.server['url']}"


def _way(row: StudyRow, record: VersionRecord) -> str:
    """How the row's labels were made, in few words."""
    if row.finetune is not None:
        return "from scratch, head" if row.finetune.timesformer is not None else "fine-tuned, head"
    strategy = None if record.identity is None else record.identity.strategy
    return "as it is" if strategy is None else str(strategy.get("kind", "as it is"))


def _identity(record: VersionRecord) -> dict[str, Any]:
    return {} if record.identity is None else record.identity.model_dump(mode="json")


def _row_notes(records: Sequence[VersionRecord]) -> tuple[str, ...]:
    """What a reader of the row's figures must know."""
    notes = []
    states = [
        record.windows.get(status, 0) for record in records for status in ("failed", "quarantined", "not_assessable")
    ]
    total = sum(sum(record.windows.values()) for record in records)
    if lost := sum(states):
        notes.append(f"{lost} of {total} windows have no label")
    return tuple(notes)


def _read_sentence(
    config: StudyConfig,
    before: StudyDocument | None,
    rows: Sequence[RowFigures],
    every: Sequence[Labelling],
    inputs: StudyInputs,
) -> str:
    """How often the test part was read. A study is one read of it, noted where a row is new or was labelled anew."""
    if before is not None and {(row.name, row.versions) for row in before.rows} == {
        (row.name, row.versions) for row in rows
    }:
        return before.reads
    labellings = (*every, inputs.reference)
    part = read_split_part(config.split, TEST, labellings=labellings, cases=inputs.cases)
    return read_note(part, purpose=f"study {', '.join(row.name for row in rows)}")
