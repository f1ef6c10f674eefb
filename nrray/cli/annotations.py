"""The verbs that carry annotations in and out: import, export."""

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from nrray.cli.options import ConfigArgument, SetOption, config_words, settings_given
from nrray.wording import counted

if TYPE_CHECKING:
    from nrray.console.reporter import Reporter
    from nrray.formats import ImportConfig, ImportResult

_MAX_FILES_LISTED = 20  # of more, those with notes


def import_(reporter: "Reporter", config: ConfigArgument = None, set_: SetOption = None) -> None:
    """Read annotations of ELAN, BORIS, Label Studio, WebVTT or plain text into tables of segments and extents."""
    from nrray.cli.annotation_pages import import_page
    from nrray.console.run_record import keep_record
    from nrray.formats import ImportConfig, import_annotations
    from nrray.report.run_page import write_run_page
    from nrray.storage import Folder

    settings = settings_given(ImportConfig, "import", config, set_, reporter)
    result = import_annotations(settings)
    keep_record(Folder(result.folder), "import", settings)
    _report_import(result, settings, reporter, words=config_words(config, set_))
    reporter.page(write_run_page(Folder(result.folder), import_page(result, reporter.transcript)))
    reporter.finish(
        {
            "folder": result.folder,
            "segments": result.num_segments,
            "extents": result.num_extents,
            "files": [
                {
                    "file": item.file,
                    "format": item.format.value,
                    "segments": len(item.annotations.segments),
                    "seconds_by_activity": item.seconds_by_activity,
                    "sources": item.annotations.sources,
                    "notes": item.annotations.notes,
                }
                for item in result.files
            ],
        }
    )


def export(reporter: "Reporter", config: ConfigArgument = None, set_: SetOption = None) -> None:
    """Write annotations or a label version as one file per video that another tool reads."""
    from nrray.cli.annotation_pages import export_page
    from nrray.console.run_record import keep_record
    from nrray.formats import ExportConfig, export_annotations
    from nrray.project import next_command
    from nrray.report.run_page import write_run_page
    from nrray.storage import Folder

    settings = settings_given(ExportConfig, "export", config, set_, reporter)
    result = export_annotations(settings)
    for note in result.notes:
        reporter.say(note)
    reporter.say(
        f"{counted(result.num_segments, 'segment')} in {counted(len(result.files), f'{result.format.value} file')} in "
        f"{result.folder}"
    )
    keep_record(Folder(result.folder), "export", settings)
    if settings.manifest is not None:
        back = {"files": f"[{result.folder}/**/*{result.suffix}]", "manifest": settings.manifest, "extent": "whole"}
        reporter.next_command(next_command("import", {**back, "output": f"{result.folder}-imported"}))
    reporter.page(write_run_page(Folder(result.folder), export_page(result, reporter.transcript)))
    reporter.finish(asdict(result))


def _report_import(
    result: "ImportResult", settings: "ImportConfig", reporter: "Reporter", *, words: Sequence[str]
) -> None:
    from nrray.project import next_command

    listed = result.files
    if len(listed) > _MAX_FILES_LISTED:
        listed = [item for item in result.files if item.annotations.notes][:_MAX_FILES_LISTED]
        reporter.say(f"{counted(len(result.files), 'file')}; import.json in {result.folder} has the notes of each")
    rows = [
        [
            Path(item.file).name,
            item.format.value,
            len(item.annotations.segments),
            _seconds_text(item.seconds_by_activity),
            " ".join(item.annotations.notes),
        ]
        for item in listed
    ]
    reporter.table("Imported", ["file", "format", "segments", "seconds per activity", "notes"], rows)
    totals: Counter[str] = Counter()
    for item in result.files:
        totals.update(item.seconds_by_activity)
    reporter.say(
        f"{counted(result.num_segments, 'segment')}, {counted(result.num_extents, 'extent')} in {result.folder}"
    )
    if len(result.files) > 1:
        reporter.say(f"Seconds in all: {_seconds_text(totals) or 'none'}")
    if result.rivals:
        reporter.say(
            f"Some videos were annotated by several of {', '.join(result.rivals)}. A comparison takes one annotator a video: "
            f"import each into a folder of its own, then `nrray compare` them."
        )
        mine = ["--set", f"annotator={result.rivals[0]}", "--set", f"output={result.folder}-{result.rivals[0]}"]
        reporter.next_command(shlex.join(["nrray", "import", *words, *mine]))
    else:
        archive = {"manifest": settings.manifest, "label_set": settings.label_set}
        beside = f"{result.folder.rstrip('/')}-split.json"
        reporter.next_command(next_command("split", {**archive, "annotations": result.folder}, output=beside))


def _seconds_text(seconds_by_activity: dict[str, float] | Counter[str]) -> str:
    return ", ".join(f"{name} {seconds:.1f}" for name, seconds in sorted(seconds_by_activity.items()))
