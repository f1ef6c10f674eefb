"""Annotations of other tools: read into the tables that truth has, and written from them. No Ray, no torch."""

from nrray.formats.exporting import ExportResult, export_annotations
from nrray.formats.importing import Annotations, ImportResult, import_annotations
from nrray.formats.options import ExportConfig, Format, ImportConfig

__all__ = [
    "Annotations",
    "ExportConfig",
    "ExportResult",
    "Format",
    "ImportConfig",
    "ImportResult",
    "export_annotations",
    "import_annotations",
]
