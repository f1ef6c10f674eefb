"""The page of a relabel output, from its files alone."""

from pathlib import Path

import pytest

from nrray.console.transcript import Transcript
from nrray.pipelines.relabel.page import relabel_page
from nrray.pipelines.relabel.status import unlabelled_files
from nrray.report import draw_version_timelines
from nrray.report.run_page import write_run_page
from nrray.results.identity import IDENTITY_FILE
from nrray.results.publish import write_version
from nrray.results.segments import SegmentRule
from nrray.results.version import PublishedState
from nrray.storage import Folder
from tests.made_tables import bad_video, video
from tests.made_versions import provenance
from tests.report.pages import check_self_contained, parsed
from tests.results.test_publish import Archive

EVIL = "<script>alert(1)</script>.mp4"


def page_of(archive):
    return relabel_page(archive.output, Transcript(folder="/here"))


@pytest.fixture
def archive(tmp_path):
    """Three videos; one unit of the second one failed, and one file cannot be read."""
    videos = [video("a.mp4"), video(EVIL), video("z.mp4")]
    found = Archive(Folder(str(tmp_path / "labels")), videos, [bad_video("broken.mp4")])
    paths = dict(zip((each.video_id for each in videos), (each.path for each in videos), strict=True))
    of = [paths[video_id] for video_id in found.units["video_id"].to_pylist()]
    first_evil = of.index(EVIL)
    found.settle([first_evil], status="failed")
    found.settle([position for position in range(len(of)) if position != first_evil])
    return found


def test_the_page_names_what_has_no_labels_with_its_reason_and_shows_the_timelines(archive):
    published = archive.publish()
    draw_version_timelines(published.folder.path(), published.folder.path("timelines"), reference=None, max_pictures=9)
    address = Path(write_run_page(archive.output, page_of(archive)))
    page = check_self_contained(address.read_text(encoding="utf-8"), folder=address.parent)
    assert f"{EVIL} 4 windows failed it broke" in page.text
    assert "broken.mp4 file failed zero bytes" in page.text
    assert len(page.images) == 3
    assert "v0001" in page.text


def test_windows_without_labels_are_counted_by_file_and_reason(archive):
    files = unlabelled_files(archive.publish().folder)
    assert [(file.path, file.windows, file.status, file.reason) for file in files] == [
        (EVIL, 4, "failed", "it broke"),
        ("broken.mp4", None, "failed", "zero bytes"),
    ]


def test_units_that_were_done_are_not_called_labelled_where_their_windows_are_not(archive):
    state = PublishedState(
        units={"ok": 6}, ledger_rows=6, attempts=6, videos="v", segment_rule=SegmentRule()
    )  # as of units in the middle of which their video ends
    write_version(archive.output, provenance(state=state), archive.tables())
    assert page_of(archive).outcome == "20 of 24 windows are labelled."


def test_an_output_on_an_object_store_has_a_page(tmp_path):
    found = Archive(Folder("memory://labels-of-page"), [video("a.mp4")], [])
    found.settle(range(found.units.num_rows))
    found.publish()
    write_run_page(found.output, page_of(found))
    assert "a row per window and activity" in parsed(found.output.read_bytes("index.html").decode()).text


def test_before_there_is_a_version_the_page_has_the_units_of_the_ledger(archive):
    archive.output.write_json(IDENTITY_FILE, {})
    write_run_page(archive.output, page_of(archive))
    page = parsed(archive.output.read_bytes("index.html").decode())
    assert "unit, attempts: 1 decode_failed it broke" in page.text
    assert "1 of 6 units failed" in page.text
