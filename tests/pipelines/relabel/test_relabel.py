"""relabel as a whole, on real Ray in this process: tables, resume, growth, failures, refusals."""

import json
import os
import shutil
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import nrray
from nrray.config import load_config
from nrray.console.reporter import Reporter
from nrray.console.transcript import Transcript
from nrray.errors import DataError, IdentityError, ModelError, ResourcesError
from nrray.models import ModelConfig, YesNoStrategy
from nrray.pipelines.on_ray.session import ray_session
from nrray.pipelines.relabel.job import RelabelConfig, resolved_job
from nrray.pipelines.relabel.page import relabel_page
from nrray.pipelines.relabel.report import Relabelled, report_relabel
from nrray.pipelines.relabel.run import RelabelOptions, relabel
from nrray.pipelines.relabel.status import output_status
from nrray.pipelines.scan.report import Scanned, report_scan, scan_page
from nrray.pipelines.scan.run import ScanConfig, scan
from nrray.pipelines.workers import Pools
from nrray.plan import Packing
from nrray.report.run_page import write_run_page
from nrray.results.identity import bind_identity
from nrray.results.publish import VersionTables, write_version
from nrray.results.segments import SegmentRule
from nrray.results.version import read_version_record, version_names
from nrray.storage import Folder
from nrray.types import EXAMINED_STATUSES, ProbeStatus
from tests.made_versions import merge_provenance
from tests.pipelines.support import assert_same_tables, run_json, tables
from tests.report.pages import check_self_contained
from tests.videos import write_sound, write_video

QUIET = Reporter(is_json=True)
KIND_SECONDS = 6
KINDS: dict[str, dict[str, Any]] = {
    "h264.mp4": {},
    "h264.mkv": {},
    "h264.ts": {},
    "h264.avi": {"b_frames": 0},
    "h264_10bit.mp4": {"pix_fmt": "yuv420p10le"},
    "hevc.mp4": {"codec": "libx265"},
    "hevc_10bit.mkv": {"codec": "libx265", "pix_fmt": "yuv420p10le"},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "av1.mkv": {"codec": "libsvtav1"},
    "mpeg4.avi": {"codec": "mpeg4"},
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "odd.mkv": {"size": (161, 97), "pix_fmt": "yuv444p"},
    "turned.mp4": {"rotation_degrees": 90},
    "late.mkv": {"start_us": 5_000_000},
    "variable.mkv": {"pts_us": [n * 40_000 + (n > 70) * 900_000 for n in range(25 * KIND_SECONDS)]},
}
ODD_NAME = "a::b #'c\"d\ne <b>ü€<br> $x$.mp4"


@pytest.fixture(scope="module", autouse=True)
def _ray():
    with ray_session():
        yield


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    """Good videos among every kind of bad one."""
    root = tmp_path_factory.mktemp("archive")
    write_video(root / "good.mp4", fps=12.5, num_frames=125)
    (root / "sub").mkdir()
    write_video(root / "sub" / "plain.mp4", fps=10, num_frames=40).rename(root / "sub" / ODD_NAME)
    write_video(root / "one_frame.mkv", num_frames=1)
    write_video(root / "wrong_suffix.avi", num_frames=50, container="mp4")
    shutil.copy(root / "good.mp4", root / "copy.mp4")
    (root / "empty.mp4").touch()
    (root / "text.mp4").write_text("no video\n" * 50)
    write_sound(root / "sound.mp4")
    data = (root / "good.mp4").read_bytes()
    (root / "no_index.mp4").write_bytes(data[: len(data) // 2])
    write_video(root / "cut.mkv", fps=25, num_frames=250, size=(320, 192))
    whole = (root / "cut.mkv").read_bytes()
    (root / "cut.mkv").write_bytes(whole[: len(whole) // 2])
    write_video(root / "flipped.mkv", fps=25, num_frames=100)
    flipped = bytearray((root / "flipped.mkv").read_bytes())
    for position in range(3000, len(flipped), 997):
        flipped[position] ^= 0xFF
    (root / "flipped.mkv").write_bytes(flipped)
    (root / "notes.txt").write_text("not a video by its name")
    for name, kind in KINDS.items():
        write_video(root / name, num_frames=25 * KIND_SECONDS, **kind)
    return root


@pytest.fixture(scope="module")
def scanned(archive, tmp_path_factory) -> Scanned:
    return scan(ScanConfig(archive=str(archive), output=str(tmp_path_factory.mktemp("scan"))), QUIET)


@pytest.fixture(scope="module")
def output(scanned, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("labels")
    run(scanned, folder)
    return folder


def settings(scanned: Scanned, folder: Path, **changed) -> RelabelConfig:
    pools = Pools(decoders=1, labelers=1, stall_timeout_seconds=200)
    return RelabelConfig(
        manifest=scanned.manifest,
        output=str(folder),
        **{"packing": Packing(max_unit_windows=3), "pools": pools, "outside_domain": "label", **changed},
    )


def run(scanned: Scanned, folder: Path, options: RelabelOptions | None = None, **changed) -> Relabelled:
    return relabel(settings(scanned, folder, **changed), options or RelabelOptions(), QUIET)


def test_every_file_is_a_row_of_the_manifest_with_its_reason(scanned):
    kinds = {video.path: video.error_kind for video in scanned.videos}
    assert kinds == {
        "good.mp4": None,
        "copy.mp4": None,
        f"sub/{ODD_NAME}": None,
        "one_frame.mkv": None,
        "wrong_suffix.avi": None,
        "cut.mkv": None,
        "flipped.mkv": kinds["flipped.mkv"],  # where the damage hits decides; it is a row either way
        "empty.mp4": "empty",
        "text.mp4": "unreadable",
        "sound.mp4": "no_video_stream",
        "no_index.mp4": "unreadable",
        **dict.fromkeys(KINDS),
    }
    assert all(video.reason for video in scanned.videos if video.status is ProbeStatus.BAD)
    assert scanned.ignored == Counter({".txt": 1})


def test_copies_share_content_but_not_their_id(scanned):
    good, copy = (next(v for v in scanned.videos if v.path == name) for name in ("good.mp4", "copy.mp4"))
    assert good.content_id == copy.content_id
    assert good.video_id != copy.video_id


def test_a_second_scan_probes_only_what_changed(archive, scanned, tmp_path):
    folder = tmp_path / "scan"
    folder.mkdir()
    shutil.copy(scanned.manifest, folder / "manifest.parquet")
    again = scan(ScanConfig(archive=str(archive), output=str(folder)), QUIET)
    # What may be mended without a change of the file is looked at again.
    assert again.num_probed == sum(video.error_kind == "unreadable" for video in scanned.videos)
    assert again.videos == scanned.videos


def test_a_file_that_grows_during_the_scan_is_a_row_and_is_probed_again(tmp_path):
    folder = tmp_path / "archive"
    folder.mkdir()
    write_video(folder / "quiet.mkv", fps=10, num_frames=50)
    data = write_video(tmp_path / "whole.mkv", fps=10, num_frames=100).read_bytes()
    growing, stop = folder / "growing.mkv", threading.Event()
    growing.write_bytes(data[:2000])

    def grow() -> None:
        while not stop.wait(0.05):
            with growing.open("ab") as file:
                file.write(b"\0")

    writer = threading.Thread(target=grow)
    writer.start()
    config = ScanConfig(archive=str(folder), output=str(tmp_path / "scan"))
    try:
        first = scan(config, QUIET)
    finally:
        stop.set()
        writer.join()
    assert {video.path: video.error_kind for video in first.videos} == {
        "quiet.mkv": None,
        "growing.mkv": "still_growing",
    }
    growing.write_bytes(data)
    again = scan(config, QUIET)
    assert again.num_probed == 1
    assert all(video.status is ProbeStatus.OK for video in again.videos)


def test_an_archive_that_is_not_mounted_changes_nothing(scanned, tmp_path):
    folder, empty = tmp_path / "scan", tmp_path / "empty"
    folder.mkdir()
    empty.mkdir()
    shutil.copy(scanned.manifest, folder / "manifest.parquet")
    before = (folder / "manifest.parquet").read_bytes()
    with pytest.raises(DataError, match="is it mounted"):
        scan(ScanConfig(archive=str(empty), output=str(folder)), QUIET)
    assert (folder / "manifest.parquet").read_bytes() == before


def test_a_name_that_is_no_text_is_a_row_and_stays_one(tmp_path):
    folder = tmp_path / "archive"
    folder.mkdir()
    write_video(folder / "good.mp4", num_frames=50)
    try:
        (Path(os.fsdecode(os.fsencode(str(folder)) + b"/bad-\xff.mp4"))).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system takes only text for names")
    config = ScanConfig(archive=str(folder), output=str(tmp_path / "scan"))
    for _ in range(2):
        found = {video.path: video.error_kind for video in scan(config, QUIET).videos}
        assert found == {"good.mp4": None, "bad-\\xff.mp4": "unreadable"}


def test_statuses_sum_to_the_plan_and_every_file_has_coverage(scanned, output):
    found = tables(output)
    counts = run_json(output)["state"]["units"]
    assert counts["not_run"] == counts["quarantined"] == 0
    assert {row["path"] for row in found["coverage"].to_pylist()} == {video.path for video in scanned.videos}
    windows = Counter(found["coverage"]["status"].to_pylist())
    assert sum(windows[status] for status in EXAMINED_STATUSES) * 4 == found["labels"].num_rows
    assert not windows["not_run"]


def test_every_codec_and_container_is_labelled_from_end_to_end(output):
    rows = [row for row in tables(output)["coverage"].to_pylist() if row["path"] in KINDS]
    assert {row["status"] for row in rows} == {"ok"}
    windows = Counter(row["path"] for row in rows)
    assert set(windows) == set(KINDS)
    assert {count for name, count in windows.items() if name != "variable.mkv"} == {KIND_SECONDS - 2}


def test_a_window_without_frames_has_a_reason_and_no_label(output):
    found = tables(output)
    missing = [row for row in found["coverage"].to_pylist() if row["status"] not in EXAMINED_STATUSES]
    assert missing
    assert all(row["error_kind"] and row["reason"] for row in missing)
    labelled = {(row["path"], row["start_us"]) for row in found["labels"].to_pylist()}
    assert not labelled & {(row["path"], row["start_us"]) for row in missing}


def test_the_cut_file_is_labelled_as_far_as_it_goes(output):
    rows = [row for row in tables(output)["coverage"].to_pylist() if row["path"] == "cut.mkv"]
    assert {"ok"} <= {row["status"] for row in rows}


def test_copies_get_the_same_scores(output):
    labels = tables(output)["labels"].to_pylist()
    scores = {name: [row["score"] for row in labels if row["path"] == name] for name in ("good.mp4", "copy.mp4")}
    assert scores["good.mp4"] == scores["copy.mp4"]


def test_the_pages_name_every_bad_file_with_its_reason(archive, scanned, output, tmp_path):
    reporter = Reporter(is_json=True)
    report_scan(scanned, reporter)
    folder = Folder(str(tmp_path))
    write_run_page(folder, scan_page(scanned, reporter.transcript, archive=str(archive)))
    shown = check_self_contained((tmp_path / "index.html").read_text(), folder=tmp_path).text
    bad = [video for video in scanned.videos if video.status is ProbeStatus.BAD]
    assert bad
    for video in bad:
        assert " ".join(f"{video.path} file {video.error_kind} {video.reason}".split()) in shown
    write_run_page(Folder(str(output)), relabel_page(Folder(str(output)), Transcript(folder="/here")))
    page = check_self_contained((output / "index.html").read_text(), folder=output)
    rows = [row for row in tables(output)["coverage"].to_pylist() if row["status"] not in EXAMINED_STATUSES]
    assert rows
    for row in rows:
        assert " ".join(str(row["reason"]).split()) in page.text
    assert "hours of video per hour" in page.text
    (output / "index.html").unlink()


def test_a_finished_output_is_left_as_it_is(scanned, output):
    before = run_json(output)
    result = run(scanned, output)
    assert result.published is None
    assert run_json(output) == before


def test_another_segment_rule_makes_a_new_version_without_a_model(scanned, output):
    config = load_config(RelabelConfig, None, ["segments.vote_share=0.9", "manifest=x", "output=y"])
    result = run(scanned, output, segments=config.segments)
    assert result.published is not None
    assert result.measured is None
    assert len(output_status(Folder(str(output))).versions) == 2


def test_a_version_whose_run_died_before_its_link_gets_it(scanned, output):
    versions = version_names(Folder(str(output)))
    latest = output / "latest"
    latest.unlink()
    latest.symlink_to(Path("versions") / "v0000")
    config = load_config(RelabelConfig, None, ["segments.vote_share=0.9", "manifest=x", "output=y"])
    assert run(scanned, output, segments=config.segments).published is None
    assert os.readlink(latest) == f"versions/{versions[-1]}"


def copied(output: Path, folder: Path) -> Path:
    return Path(shutil.copytree(output, folder, symlinks=True))


def segment_rule_of(output: Path, version: str) -> SegmentRule:
    state = read_version_record(Folder(str(output)) / "versions" / version).state
    assert state is not None
    return state.segment_rule


def merge_on_top(output: Path) -> None:
    """A merged version of the last one, as a verb of corrections writes it."""
    folder = Folder(str(output))
    parent = version_names(folder)[-1]
    version = folder / "versions" / parent
    rows = VersionTables(
        labels=version.read_table("labels.parquet"),
        segments=version.read_table("segments.parquet"),
        coverage=version.read_table("coverage.parquet"),
    )
    write_version(folder, merge_provenance(parent, label_set=read_version_record(version).label_set), [rows])


def test_an_unchanged_ledger_is_not_published_over_a_merged_version(scanned, output, tmp_path, capsys):
    labels = copied(output, tmp_path / "labels")
    merge_on_top(labels)
    versions = version_names(Folder(str(labels)))
    config = settings(
        scanned,
        labels,
        segments=read_version_record(Folder(str(labels)) / "versions" / versions[-2]).state.segment_rule,
    )
    result = relabel(config, RelabelOptions(), Reporter())
    assert result.published is None
    said = (
        f"nothing has changed since {versions[-2]}; {versions[-1]} (merge of {versions[-2]}) stays the latest version"
    )
    assert said in " ".join(capsys.readouterr().out.split())
    assert version_names(Folder(str(labels))) == versions
    assert os.readlink(labels / "latest") == f"versions/{versions[-1]}"


def test_a_changed_ledger_is_published_beside_a_merged_version(scanned, output, tmp_path, capsys):
    labels = copied(output, tmp_path / "labels")
    merge_on_top(labels)
    merged = version_names(Folder(str(labels)))[-1]
    rule = SegmentRule(vote_share=0.75)
    result = relabel(settings(scanned, labels, segments=rule), RelabelOptions(), Reporter())
    assert result.published is not None
    assert result.published.record.state.segment_rule == rule
    assert os.readlink(labels / "latest") == f"versions/{merged}"
    said = " ".join(capsys.readouterr().out.split())
    assert f"{merged} (merge of " in said
    assert "stays the latest version, as relabel never publishes over it" in said
    assert f"{labels}/versions/{result.published.name} alone. Read them there, or merge the corrections" in said
    assert relabel(settings(scanned, labels, segments=rule), RelabelOptions(), QUIET).published is None


def test_a_version_without_one_of_its_tables_is_made_again(scanned, output, tmp_path):
    labels = copied(output, tmp_path / "labels")
    last = version_names(Folder(str(labels)))[-1]
    rule = segment_rule_of(labels, last)
    (labels / "versions" / last / "segments.parquet").unlink()
    assert run(scanned, labels, segments=rule).published is not None


def as_the_release_before_left(output: Path, folder: Path) -> Path:
    """An output as the release before would have left it: without its last version, its last units not yet run, and
    without the keys and columns that came later."""
    labels = copied(output, folder)
    identity = json.loads((labels / "identity.json").read_text())
    for key in ("schema_version", "strategy"):
        del identity[key]
    (labels / "identity.json").write_text(json.dumps(identity))
    *earlier, last = version_names(Folder(str(labels)))
    shutil.rmtree(labels / "versions" / last)
    for name in earlier:
        file = labels / "versions" / name / "run.json"
        document = json.loads(file.read_text())
        for key in ("schema_version", "kind", "parents"):
            del document[key]
        file.write_text(json.dumps({**document, "identity": identity}))
    ledger = pq.read_table(labels / "ledger").drop_columns(["schema_version"])
    shutil.rmtree(labels / "ledger")
    (labels / "ledger").mkdir()
    pq.write_table(ledger.sort_by("unit_id").slice(0, ledger.num_rows - 3), labels / "ledger" / "units-old.parquet")
    return labels


def test_an_output_of_the_release_before_goes_on_to_the_same_tables(scanned, output, tmp_path):
    before = as_the_release_before_left(output, tmp_path / "labels")
    versions = version_names(Folder(str(output)))
    result = run(scanned, before, segments=segment_rule_of(output, versions[-1]))
    assert result.measured.units_done == 3
    assert result.published.name == versions[-1]
    assert_same_tables(before, output)
    assert result.published.record.identity.strategy["kind"] == "head"


def test_another_strategy_on_the_same_output_is_refused(scanned, output):
    with pytest.raises(IdentityError, match=r"strategy\.kind: this output 'head', this run 'yes_no'"):
        run(scanned, output, strategy=YesNoStrategy())


def test_a_reworded_instruction_on_the_same_output_is_refused(scanned, tmp_path):
    job = resolved_job(settings(scanned, tmp_path, strategy=YesNoStrategy()))
    bind_identity(job.output, job.identity, unrecorded_strategy=job.unrecorded_strategy)
    said = r"strategy\.prompts\.ventilation: this output '.*\? Answer with one word, yes or no\.', this run '.*\? Yes or no\?'"
    with pytest.raises(IdentityError, match=said):
        run(scanned, tmp_path, strategy=YesNoStrategy(instruction="Yes or no?"))


def test_thresholds_of_one_s_own_keep_the_rules(scanned, output, tmp_path):
    shutil.copytree(output, tmp_path / "out", symlinks=True)
    rows = tables(output)["labels"].to_pylist()
    visible = sorted(row["score"] for row in rows if row["activity"] == "baby_visible")
    low = {"baby_visible": visible[len(visible) // 2], "ventilation": 0.0, "stimulation": 0.0, "suction": 0.0}
    overrides = [f"segments.thresholds={low}".replace("'", ""), "manifest=x", "output=y"]
    run(scanned, tmp_path / "out", segments=load_config(RelabelConfig, None, overrides).segments)
    assert run_json(tmp_path / "out")["thresholds"] == pytest.approx(low)
    windows: dict[tuple[str, int], set[str]] = {}
    for row in tables(tmp_path / "out")["labels"].to_pylist():
        present = windows.setdefault((row["path"], row["start_us"]), set())
        if row["state"] == "present":
            present.add(row["activity"])
    assert any("stimulation" in present for present in windows.values())
    assert not all(windows.values())  # half of the windows show nobody, by that threshold
    for present in windows.values():
        assert not present or "baby_visible" in present
        assert not {"ventilation", "suction"} <= present


@pytest.mark.parametrize("was_retried", [False, True])
def test_what_was_tried_again_in_vain_is_not_proposed_again(was_retried, capsys):
    counts = {"ok": 3, "failed": 1, "quarantined": 0, "not_run": 0}
    result = Relabelled(output="out", counts=counts, published=None, measured=None)
    report_relabel(result, [], "nrray relabel a.yaml", Reporter(is_json=False), was_retried=was_retried)
    printed = capsys.readouterr().out
    assert "nrray status out" in printed
    assert ("nrray relabel a.yaml --retry-failed" in printed) is not was_retried


def test_labels_of_two_number_formats_are_never_mixed(scanned, output):
    with pytest.raises(IdentityError, match="dtype"):
        run(scanned, output, model=ModelConfig(dtype="bfloat16"))


def test_other_sampling_on_the_same_output_is_refused(scanned, output):
    with pytest.raises(IdentityError, match="packing"):
        run(scanned, output, packing=Packing(max_unit_windows=5))


def test_sampling_that_the_model_was_not_trained_with_is_refused(scanned, tmp_path):
    config = load_config(RelabelConfig, None, ["sampling.frame_width_px=64", "manifest=x", "output=y"])
    with pytest.raises(ModelError, match="frame_width_px"):
        run(scanned, tmp_path, sampling=config.sampling)


def test_a_label_set_that_the_model_was_not_trained_for_is_refused_before_anything_starts(scanned, tmp_path):
    text = (Path(nrray.__file__).parent / "data" / "labels.yaml").read_text(encoding="utf-8")
    file = tmp_path / "labels.yaml"
    renamed = text.replace("name: suction", "name: aspiration").replace(", suction]", ", aspiration]")
    renamed = renamed.replace("    suction:\n", "    aspiration:\n")
    file.write_text(renamed, encoding="utf-8")
    with pytest.raises(ModelError, match=r"its head was trained for .*'aspiration'"):
        run(scanned, tmp_path / "out", label_set=str(file))
    assert not (tmp_path / "out").exists()


def test_a_missing_model_is_said_before_anything_starts(scanned, tmp_path):
    with pytest.raises(ModelError):
        run(scanned, tmp_path / "out", model=ModelConfig(path=str(tmp_path / "none")))
    assert not (tmp_path / "out").exists()


def test_more_workers_than_the_machine_has_are_refused(scanned, tmp_path):
    with pytest.raises(ResourcesError, match="do not fit"):
        run(scanned, tmp_path, pools=Pools(decoders=50, labelers=50))


def test_what_is_left_out_added_changed_and_mended_is_completed_and_nothing_done_twice(tmp_path):
    folder, output = tmp_path / "archive", tmp_path / "out"
    folder.mkdir()
    write_video(folder / "a.mp4", fps=10, num_frames=110)
    config = ScanConfig(archive=str(folder), output=str(tmp_path / "scan"))
    part = run(scan(config, QUIET), output, RelabelOptions(limit_units=1))
    assert part.counts == {"ok": 1, "failed": 0, "quarantined": 0, "not_run": 2}
    assert Counter(tables(output)["coverage"]["status"].to_pylist())["not_run"] > 0
    done = pq.read_table(output / "ledger")
    # The archive grows, and b changes after the scan: its units fail by name.
    added = write_video(folder / "b.mp4", fps=10, num_frames=90)
    grown, whole, facts = scan(config, QUIET), added.read_bytes(), os.stat(added)
    assert grown.num_probed == 1
    write_video(added, fps=10, num_frames=80)
    failed = run(grown, output)
    assert failed.counts["ok"] == 3
    assert failed.counts["failed"] == sum(failed.counts.values()) - 3 > 0
    kinds = {row["error_kind"] for row in tables(output)["coverage"].to_pylist() if row["status"] == "failed"}
    assert kinds == {"changed_since_scan"}
    assert run(grown, output).counts == failed.counts  # a failure is settled until it is asked for
    added.write_bytes(whole)
    os.utime(added, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    retried = run(grown, output, RelabelOptions(retry_failed=True))
    assert retried.counts == {"ok": sum(failed.counts.values()), "failed": 0, "quarantined": 0, "not_run": 0}
    rows = pq.read_table(output / "ledger").select(["unit_id", "attempts"]).to_pylist()
    assert max(row["attempts"] for row in rows) == 2
    assert sum(row["unit_id"] == done["unit_id"][0].as_py() for row in rows) == 1
    # Changed and scanned again, it is another video, and planned as one.
    write_video(added, fps=10, num_frames=80)
    assert run(scan(config, QUIET), output, RelabelOptions(dry_run=True)).counts["not_run"] > 0


def test_a_dry_run_writes_nothing(scanned, tmp_path):
    result = run(scanned, tmp_path / "out", RelabelOptions(dry_run=True))
    assert result.counts["not_run"] == sum(result.counts.values())
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.skipif("NRRAY_SAMPLE_VIDEOS" not in os.environ, reason="NRRAY_SAMPLE_VIDEOS names no folder of videos")
def test_every_real_video_gets_its_rows(tmp_path):
    scanned = scan(ScanConfig(archive=os.environ["NRRAY_SAMPLE_VIDEOS"], output=str(tmp_path / "scan")), QUIET)
    result = run(scanned, tmp_path / "labels")
    found = tables(tmp_path / "labels")
    assert result.counts["not_run"] == 0
    coverage = found["coverage"].to_pylist()
    assert {row["path"] for row in coverage} == {video.path for video in scanned.videos}
    assert all(row["reason"] for row in coverage if row["status"] != "ok")
    assert found["labels"].num_rows == 4 * Counter(row["status"] for row in coverage)["ok"]
