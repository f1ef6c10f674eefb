"""A timeline picture per video beside a published version."""

from pathlib import Path

import pyarrow as pa

from nrray.archive.annotations import read_truth, truth_with_video_ids
from nrray.report import draw_version_timelines
from nrray.results.version import version_names
from nrray.storage import Folder

MAX_PICTURES = 200  # of a large archive only the first are drawn; the tables have all


def draw_pictures(output: Folder, *, truth_folder: str | None = None, manifest: pa.Table | None = None) -> list[str]:
    """Draw the newest version's videos into its `timelines/`; returns the paths. None on an object store."""
    if not output.is_local:
        return []
    version = output / "versions" / version_names(output)[-1]
    truth = None
    if truth_folder is not None and manifest is not None:
        segments, _ = read_truth(truth_folder)
        truth = truth_with_video_ids(segments, manifest)
    folder = Path(version.path()) / "timelines"
    return draw_version_timelines(Path(version.path()), folder, truth=truth, max_pictures=MAX_PICTURES)


def missing_pictures(output: Folder) -> list[str]:
    """Draw the newest version's pictures where nobody has; returns their paths, none where there was nothing to do."""
    names = version_names(output)
    if not output.is_local or not names or Path(output.path(f"versions/{names[-1]}/timelines")).exists():
        return []
    return draw_pictures(output)
