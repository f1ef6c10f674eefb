"""The page of an output of `nrray relabel`: the state that `nrray status` reads from its files, and the newest timelines."""

from collections.abc import Mapping

from nrray.console.transcript import Transcript
from nrray.pipelines.relabel.status import OutputStatus, output_status
from nrray.report.run_page import MAX_FAILURES, Failure, RunFile, RunPage, RunPicture
from nrray.results.figures import RunFigures
from nrray.results.publish import ANSWERS_FILE
from nrray.results.version import VersionRecord
from nrray.storage import Folder
from nrray.types import EXAMINED_STATUSES
from nrray.wording import counted


def relabel_page(output: Folder, transcript: Transcript) -> RunPage:
    """The page of an output as it is now. Raises DataError, StorageError."""
    status = output_status(output, max_failures=MAX_FAILURES)
    newest = status.versions[-1] if status.versions else None
    return RunPage(
        title=f"Labels in {output}",
        outcome=" ".join([_outcome(status, newest), *_doubts(newest)]),
        facts=_facts(status, newest),
        transcript=transcript,
        failures=_failures(status),
        num_failures=len(status.not_labelled) if newest is not None else _num_failed(status.counts),
        pictures=_pictures(output, newest),
        files=_files(newest),
    )


def _outcome(status: OutputStatus, newest: VersionRecord | None) -> str:
    planned = status.planned or status.counts
    total, failed = sum(planned.values()), _num_failed(planned)
    if failed:
        return f"{failed:,} of {total:,} units failed: their windows have no labels, and are not windows without activities."
    if missing := planned.get("not_run", 0):
        return f"{missing:,} of {total:,} units were not run yet."
    if newest is None:
        return f"All of {counted(total, 'unit')} done; no version is published yet."
    labelled = sum(newest.windows.get(status, 0) for status in EXAMINED_STATUSES)
    return f"{labelled:,} of {sum(newest.windows.values()):,} windows are labelled."


def _doubts(newest: VersionRecord | None) -> list[str]:
    """Sentences on labels that claim nothing, or may mean nothing."""
    if newest is None:
        return []
    sentences = [newest.domain.sentence()] if newest.domain is not None and newest.domain.num_outside else []
    if newest.unparsed_share:
        sentences.append(f"{newest.unparsed_share:.1%} of the labels are answers that could not be parsed.")
    if newest.order_disagreement:
        sentences.append(
            f"In {newest.order_disagreement:.1%} of the windows the order of the options decides the answer."
        )
    return sentences


def _num_failed(counts: Mapping[str, int]) -> int:
    return counts.get("failed", 0) + counts.get("quarantined", 0)


def _facts(status: OutputStatus, newest: VersionRecord | None) -> list[tuple[str, str]]:
    facts = [("units", _counts_text(status.planned or status.counts))]
    if newest is not None:
        facts += [
            ("version", newest.title),
            ("windows", _counts_text(newest.windows)),
            ("labels by state", _counts_text(newest.states_together)),
            ("labels, segments", f"{newest.rows['labels.parquet']:,}, {newest.rows['segments.parquet']:,}"),
            ("files that cannot be read", f"{newest.unreadable_files:,}"),
            ("model", _model_text(newest)),
            ("activities", ", ".join(newest.activities)),
            ("manifest", newest.manifest),
        ]
    measured = newest.measured if newest is not None else None
    if measured is None and status.last_run is not None and isinstance(status.last_run.progress, RunFigures):
        measured = status.last_run.progress
    if measured is not None:
        facts += [
            (
                "speed",
                f"{measured.video_hours_per_hour:,.1f} hours of video per hour: {counted(measured.units_done, 'unit')} in "
                f"{measured.wall_seconds:.0f} s, workers' start included",
            ),
            ("run by", f"{measured.pools}; {measured.capacity}"),
        ]
    return facts


def _model_text(newest: VersionRecord) -> str:
    if newest.server is None:
        return newest.model_folder or "no single one"
    model = newest.server.get("model")
    name = model.get("id") if isinstance(model, dict) else None
    place = "outside the house" if newest.server.get("is_remote") else "in the house"
    return f"{name}, as {newest.server.get('url')} serves it, {place}"


def _counts_text(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in sorted(counts.items()) if count) or "none"


def _failures(status: OutputStatus) -> list[Failure]:
    """Files of the newest version that lack labels, or units where there is no version yet."""
    if not status.versions:
        return [
            Failure(
                what=unit.unit_id,
                amount=f"unit, attempts: {unit.attempts}",
                kind=unit.error_kind or unit.status,
                reason=unit.error or "-",
            )
            for unit in status.failures
        ]
    return [
        Failure(
            what=file.path,
            amount="file" if file.windows is None else counted(file.windows, "window"),
            kind=file.status,
            reason=file.reason or "-",
        )
        for file in status.not_labelled[:MAX_FAILURES]
    ]


def _pictures(output: Folder, newest: VersionRecord | None) -> list[RunPicture]:
    if newest is None:
        return []
    folder = f"versions/{newest.version}/timelines"
    return [
        RunPicture(file=f"{folder}/{name}", description=f"Timeline of {name.removesuffix('.png')}")
        for name in (output / folder).names(".png")
    ]


def _files(newest: VersionRecord | None) -> list[RunFile]:
    if newest is None:
        return []
    folder = f"versions/{newest.version}"
    return [
        RunFile(file=f"{folder}/labels.parquet", meaning="a row per window and activity: score and state"),
        RunFile(file=f"{folder}/segments.parquet", meaning="a row per span of an activity"),
        RunFile(
            file=f"{folder}/coverage.parquet", meaning="a row per window: whether it was labelled, and if not, why"
        ),
        *(
            [RunFile(file=f"{folder}/{ANSWERS_FILE}", meaning="a row per window and question: what the model said")]
            if ANSWERS_FILE in newest.rows
            else []
        ),
        RunFile(file=f"{folder}/run.json", meaning="the record of the version: model, prompts, thresholds, counts"),
        RunFile(file="identity.json", meaning="all that decides a label"),
    ]
