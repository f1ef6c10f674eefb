"""An archive's manifest without a pixel, and imports of texts written in a test."""

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq

from nrray.archive.annotations import read_annotations, write_annotations
from nrray.config import validate_mapping
from nrray.formats import ExportConfig, ImportConfig, export_annotations, import_annotations
from nrray.storage import Folder
from nrray.tables import rows_from_table
from nrray.types import Extent, Segment
from tests.made_tables import manifest, video

VIDEOS = [
    replace(video("cam1/v.mp4", seconds=100), measured_fps=25.0, is_variable_fps=False),
    replace(video("cam2/v.mp4", seconds=60), measured_fps=25.0, is_variable_fps=False),
    replace(video("alone.mp4", seconds=100), measured_fps=25.0, is_variable_fps=False),
    replace(video("phone.mov", seconds=100), measured_fps=30.0, is_variable_fps=True),
    replace(video("unmeasured.mp4", seconds=100), measured_fps=None),
    replace(video("late.mp4", seconds=100, start_us=500_000), measured_fps=25.0),
]


def write_manifest(folder: Path) -> str:
    path = folder / "manifest.parquet"
    pq.write_table(manifest(*VIDEOS), path)
    return str(path)


def imported(folder: Path, contents: dict[str, str | bytes], **options):
    """The result of an import of `contents` (by file name); `extent` is whole where no other is given."""
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    settings = {
        "files": [str(folder / name) for name in contents],
        "manifest": write_manifest(folder),
        "output": str(folder / "imported"),
        "extent": "whole",
        **options,
    }
    return import_annotations(validate_mapping(ImportConfig, settings, where="a test"))


def spans(result) -> list[tuple[str, str, int, int]]:
    """(video, activity, start in ms, end in ms) of all segments."""
    return [
        (row.path, row.activity, row.start_us // 1000, row.end_us // 1000)
        for item in result.files
        for row in item.annotations.segments
    ]


def notes(result) -> str:
    return " ".join(note for item in result.files for note in item.annotations.notes)


def written(folder: Path, segments: list[Segment], extents: list[Extent]) -> str:
    target = Folder(str(folder))
    write_annotations(target, segments, extents)
    return target.uri


def exported(folder: Path, format_: str, segments, extents=(), **options):
    """An export of `segments`; its files lie under `folder`/exported."""
    settings = {
        "input": written(folder / "annotations", list(segments), list(extents)),
        "format": format_,
        "output": str(folder / "exported"),
        "manifest": write_manifest(folder),
        **options,
    }
    return export_annotations(validate_mapping(ExportConfig, settings, where="a test"))


def reimported(folder: Path, format_: str, **options) -> list[Segment]:
    """The segments in the files of `exported`, as `read_annotations` reads them."""
    settings = {
        "files": [str(folder / "exported" / "**")],
        "format": format_,
        "manifest": str(folder / "manifest.parquet"),
        "output": str(folder / "back"),
        "extent": "whole",
        **options,
    }
    import_annotations(validate_mapping(ImportConfig, settings, where="a test"))
    return rows_from_table(read_annotations(str(folder / "back")).segments, Segment)
