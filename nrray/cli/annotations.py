"""The verbs that carry annotations in and out: import, export."""

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from nrray.cli.options import ConfigArgument, JsonOption, SetOption, config_words

if TYPE_CHECKING:
    from nrray.console.reporter import Reporter
    from nrray.formats import ImportResult

_MAX_FILES_LISTED = 20  # of more, those with notes


def import_(config: ConfigArgument = None, set_: SetOption = None, as_json: JsonOption = False) -> None:
    """Read annotations of ELAN, BORIS, Label Studio, WebVTT or plain text into tables of segments and extents."""
    from nrray.config import load_config
    from nrray.console.reporter import Reporter
    from nrray.formats import ImportConfig, import_annotations

    reporter = Reporter(is_json=as_json)
    result = import_annotations(load_config(ImportConfig, config, set_ or ()))
    _report_import(result, reporter, words=config_words(config, set_))
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


def export(config: ConfigArgument = None, set_: SetOption = None, as_json: JsonOption = False) -> None:
    """Write annotations or a label version as one file per video that another tool reads."""
    from nrray.config import load_config
    from nrray.console.reporter import Reporter
    from nrray.formats import ExportConfig, export_annotations

    reporter = Reporter(is_json=as_json)
    result = export_annotations(load_config(ExportConfig, config, set_ or ()))
    for note in result.notes:
        reporter.say(note)
    reporter.say(
        f"{result.num_segments} segments in {len(result.files)} {result.format.value} files in {result.folder}"
    )
    files = shlex.quote(f"files=[{result.folder}/**/*{result.suffix}]")
    reporter.next_command(f"nrray import --set {files} --set manifest=MANIFEST --set extent=whole --set output=FOLDER")
    reporter.finish(asdict(result))


def _report_import(result: "ImportResult", reporter: "Reporter", *, words: Sequence[str]) -> None:
    listed = result.files
    if len(listed) > _MAX_FILES_LISTED:
        listed = [item for item in result.files if item.annotations.notes][:_MAX_FILES_LISTED]
        reporter.say(f"{len(result.files)} files; import.json in {result.folder} has the notes of each")
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
    reporter.say(f"{result.num_segments} segments, {result.num_extents} extents in {result.folder}")
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
        reporter.next_command(f"nrray evaluate --set candidate=LABELS --set reference={shlex.quote(result.folder)}")


def _seconds_text(seconds_by_activity: dict[str, float] | Counter[str]) -> str:
    return ", ".join(f"{name} {seconds:.1f}" for name, seconds in sorted(seconds_by_activity.items()))
