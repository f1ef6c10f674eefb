"""The pages of a run of `nrray import` and `nrray export`."""

from nrray.archive.annotations import EXTENTS_FILE, SEGMENTS_FILE
from nrray.console.transcript import Transcript
from nrray.formats.exporting import ExportResult
from nrray.formats.importing import RECORD, ImportResult
from nrray.report.run_page import RunFile, RunPage
from nrray.wording import counted

MAX_FILES = 50  # of an export, which has one per video


def import_page(result: ImportResult, transcript: Transcript) -> RunPage:
    """The page of an import."""
    formats = sorted({item.format.value for item in result.files})
    sources = sorted({source for item in result.files for source in item.annotations.sources})
    num_notes = sum(len(item.annotations.notes) for item in result.files)
    read = f"{counted(result.num_segments, 'segment')} and {counted(result.num_extents, 'extent')}"
    notes = f", with {counted(num_notes, 'note')}: read them below" if num_notes else ""
    return RunPage(
        title="Imported annotations",
        outcome=f"{read} of {counted(len(result.files), 'file')}{notes}.",
        facts=[
            ("files", f"{len(result.files):,}, {', '.join(formats)}"),
            ("segments", f"{result.num_segments:,}"),
            ("extents, which say what was looked at", f"{result.num_extents:,}"),
            ("sources", ", ".join(sources) or "none"),
        ],
        transcript=transcript,
        files=[
            RunFile(file=SEGMENTS_FILE, meaning="a row per segment of an activity"),
            RunFile(file=EXTENTS_FILE, meaning="a row per stretch of a video that was looked at"),
            RunFile(file=RECORD, meaning="what was read of each file, with its digest and notes"),
        ],
    )


def export_page(result: ExportResult, transcript: Transcript) -> RunPage:
    """The page of an export."""
    shown = result.files[:MAX_FILES]
    return RunPage(
        title=f"Exported as {result.format.value}",
        outcome=f"{counted(result.num_segments, 'segment')} in {counted(len(result.files), 'file')}, one per video."
        f"{f' Of the files, {MAX_FILES} are listed.' if len(shown) < len(result.files) else ''}",
        facts=[("format", result.format.value), ("files", f"{len(result.files):,}")],
        transcript=transcript,
        files=[RunFile(file=file, meaning=f"for a tool that reads {result.format.value}") for file in shown],
    )
