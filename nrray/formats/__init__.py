"""Annotation files of other tools, read into and written from tables of segments and extents. No Ray, no torch."""

from nrray.formats.exporting import ExportResult, export_annotations
from nrray.formats.importing import ImportResult, import_annotations
from nrray.formats.options import ExportConfig, Format, ImportConfig

__all__ = [
    "ExportConfig",
    "ExportResult",
    "Format",
    "ImportConfig",
    "ImportResult",
    "export_annotations",
    "import_annotations",
]
