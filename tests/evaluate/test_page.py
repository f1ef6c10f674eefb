import json
import re

import pytest

from nrray.archive.manifest import manifest_table
from nrray.evaluate.case_rows import CaseRow, VideoTimeline
from nrray.evaluate.moments import ErrorKind, longest_errors
from nrray.evaluate.page import clock
from nrray.evaluate.sides import Sides
from nrray.evaluate.verdicts import Verdict, verdict_sentence, verdicts
from nrray.metrics.jackknife import Value
from nrray.storage import Folder
from nrray.types import ProbeStatus, Video
from tests.evaluate.archives import (
    LABELS,
    PATHS,
    TRUTH,
    archive,
    evaluated,
    scores_of,
    write_annotations,
    write_labels,
)
from tests.report.pages import check_self_contained


def test_the_page_loads_and_runs_nothing_and_escapes_names(tmp_path):
    evil = '<script>alert(1)</script>"&.mp4'
    reference = write_annotations(tmp_path / "truth", {evil: TRUTH}, {evil: [(0, 60)]}, source="<b>me</b>")
    labels = write_labels(tmp_path / "labels", {evil: scores_of(TRUTH, 60)}, source="<i>model</i>")
    evaluated(tmp_path, labels, reference)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "<b>me" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    check_self_contained(page, folder=tmp_path / "out")
    numbers = json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))
    assert f"{numbers['rows'][1]['values']['windows f1']['estimate']:.3f}" in page


def page_of(tmp_path, **more):
    """The page of eight cases, and its document."""
    labels, reference = archive(tmp_path, right=0.93, seed=4)
    document = evaluated(tmp_path, labels, reference, **more)
    return (tmp_path / "out" / "report.html").read_text(encoding="utf-8"), document


def test_the_page_begins_with_the_answer_and_the_amount_that_it_rests_on(tmp_path):
    html, document = page_of(tmp_path)
    found = check_self_contained(html, folder=tmp_path / "out")
    answer = verdict_sentence(document)
    assert found.text.index(answer) < found.text.index("8 of 8") < found.text.index("balanced accuracy")
    for each in verdicts(document):
        assert f"{each.verdict.value} {each.f1.estimate:.2f} ({each.f1.low:.2f} to {each.f1.high:.2f})" in found.text
        assert f"8 of 8 {each.row.num_segments} " in found.text
    contents = [link for link in found.links if link.startswith("#") and not link.startswith("#case-")]
    assert len(contents) == len(set(contents)) >= 9


def test_every_axis_has_a_title_with_its_unit_and_every_plot_has_a_name(tmp_path):
    html, document = page_of(tmp_path)
    plots = [svg for svg in re.findall(r"<svg.*?</svg>", html, re.DOTALL) if "tick" in svg]
    assert len(plots) > 2 * len(document.activities) + len(document.cases)
    for svg in plots:
        titles = re.findall(r'class="label middle"[^>]*>([^<]+)<', svg)
        assert len(titles) == (1 if 'class="ground"' in svg or 'class="interval"' in svg else 2), svg[:200]
        assert all(re.search(r"\((s|0 to 1)\)$", title) for title in titles), titles
        assert re.search(r"<title>\S.*</title>", svg)


def test_what_differs_in_colour_differs_in_shape_and_words(tmp_path):
    html, _ = page_of(tmp_path)
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL).group(1)
    assert "svg .reference { fill: var(--paper); stroke" in style
    assert "svg .candidate { fill: var(--candidate)" in style
    assert "candidate, filled, above" in html
    assert "reference, outlined, below" in html
    assert "prefers-color-scheme: dark" in style
    assert not re.findall(r"#[0-9a-f]{3,6}", re.sub(r"--[\w-]+: [^;]+;", "", style)), "a colour that does not turn dark"


def test_moments_lead_to_the_case_the_timeline_and_into_the_video_where_these_are(tmp_path):
    labels, reference = archive(tmp_path, right=0.85, seed=4)
    folder = Folder(str(tmp_path / "scan"))
    folder.create()
    videos = tmp_path / "my videos #1"
    rows = [
        Video(
            video_id=f"id-{path}",
            content_id="c",
            uri=str(videos / path),
            path=path,
            size_bytes=1,
            modified_us=0,
            status=ProbeStatus.OK,
            start_us=1_400_000,
            duration_us=60_000_000,
        )
        for path in PATHS
    ]
    folder.write_table("manifest.parquet", manifest_table(rows))
    for path in PATHS[1:]:
        (videos / path).parent.mkdir(parents=True)
        (videos / path).write_bytes(b"")
    (tmp_path / "labels/timelines").mkdir()
    (tmp_path / "labels/timelines/0002-video.png").write_bytes(b"")
    document = evaluated(tmp_path, labels, reference, manifest=str(tmp_path / "scan/manifest.parquet"))
    html = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    found = check_self_contained(html, folder=tmp_path / "out")
    moment = next(each for each in longest_errors(document.cases, most=12) if each.path != PATHS[0])
    seconds = max(moment.start_us / 1e6 - 1.4 - 1.0, 0)
    assert f"../my%20videos%20%231/{moment.path}#t={seconds:.1f}" in found.links
    assert f"#case-{moment.case}" in found.links
    assert "../labels/timelines/0002-video.png" in found.links
    assert not [link for link in found.links if f"{PATHS[0]}" in link], "a video that is not there"
    assert not [link for link in found.links if "0001-video" in link], "a picture that was never drawn"


def test_without_a_manifest_the_page_says_how_to_get_links(tmp_path):
    html, _ = page_of(tmp_path)
    assert "Give manifest=... for links into the videos." in html


@pytest.mark.parametrize(
    ("low", "high", "num_cases", "chance", "verdict"),
    [
        (0.80, 0.9, 8, 0.5, Verdict.GOOD),
        (0.79, 0.9, 8, 0.5, Verdict.UNDECIDED),
        (0.70, 0.79, 8, 0.5, Verdict.POOR),
        (0.85, 0.95, 8, 0.9, Verdict.UNDECIDED),
        (0.85, 0.90, 8, 0.9, Verdict.POOR),
        (0.85, 0.95, 3, 0.5, Verdict.UNDECIDED),
        (None, None, 8, 0.5, Verdict.UNDECIDED),
    ],
)
def test_an_activity_is_good_enough_by_the_whole_interval_above_level_and_chance(
    low, high, num_cases, chance, verdict, tmp_path
):
    _, document = page_of(tmp_path)
    row = document.activity_rows[0]
    values = {**row.values, "time f1": Value(estimate=0.85, low=low, high=high)}
    changed = type(row)(**{**vars(row), "values": values, "num_cases_with": num_cases})
    baselines = {row.name: {"always yes": {"time f1": chance}, "always no": {"time f1": None}}}
    made = document.model_copy(update={"rows": (changed,), "baselines": baselines, "activities": (row.name,)})
    (found,) = verdicts(made)
    assert found.verdict is verdict


def test_an_activity_that_no_case_shows_is_not_called_poor(tmp_path):
    truth = {name: spans for name, spans in TRUTH.items() if name != "suction"}
    reference = write_annotations(tmp_path / "truth", dict.fromkeys(PATHS, truth), {path: [(0, 60)] for path in PATHS})
    labels = write_labels(tmp_path / "labels", {path: scores_of(truth, 60) for path in PATHS})
    found = {each.row.name: each for each in verdicts(evaluated(tmp_path, labels, reference))}
    assert found["suction"].verdict is Verdict.UNDECIDED
    assert found["suction"].reason == "no case of the reference shows it"


def test_the_longest_errors_come_first_and_are_in_one_side_alone():
    lanes = {
        "a": Sides(candidate=((0, 10), (20, 30)), reference=((5, 40),)),
        "b": Sides(candidate=(), reference=((0, 3),)),
    }
    video = VideoTimeline(path="v.mp4", evaluated=((0, 50),), lanes=lanes)
    case = CaseRow(case_id="c", hours=0.0, f1={}, macro_f1=0.5, videos=(video,))
    found = [(each.activity, each.kind, each.start_us, each.end_us) for each in longest_errors([case], most=4)]
    assert found == [
        ("a", ErrorKind.MISSED, 10, 20),
        ("a", ErrorKind.MISSED, 30, 40),
        ("a", ErrorKind.WRONG, 0, 5),
        ("b", ErrorKind.MISSED, 0, 3),
    ]


def test_a_time_is_written_as_players_show_it():
    assert clock(3_725_040_000) == "1:02:05.0"
    assert clock(59_960_000) == "0:01:00.0"


def test_activities_have_a_place_in_the_answer_each(tmp_path):
    html, document = page_of(tmp_path)
    assert [each.row.name for each in verdicts(document)] == list(LABELS.names)
    assert html.count('class="verdict"') == len(LABELS.names)
