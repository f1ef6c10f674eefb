"""A timeline picture per video beside a published version."""

from pathlib import Path

from nrray.archive.annotations import read_annotations
from nrray.report import draw_version_timelines
from nrray.results.version import version_names
from nrray.storage import Folder

MAX_PICTURES = 200  # of a large archive only the first are drawn; the tables have all


def draw_pictures(output: Folder, *, reference: str | None = None) -> list[str]:
    """Draw the newest version's videos into its `timelines/`, beside the segments of a folder of annotations where one is
    given; returns the paths. None on an object store."""
    if not output.is_local:
        return []
    version = output / "versions" / version_names(output)[-1]
    segments = read_annotations(reference).segments if reference is not None else None
    folder = Path(version.path()) / "timelines"
    return draw_version_timelines(Path(version.path()), folder, reference=segments, max_pictures=MAX_PICTURES)


def missing_pictures(output: Folder) -> list[str]:
    """Draw the newest version's pictures where nobody has; returns their paths, none where there was nothing to do."""
    names = version_names(output)
    if not output.is_local or not names or Path(output.path(f"versions/{names[-1]}/timelines")).exists():
        return []
    return draw_pictures(output)
