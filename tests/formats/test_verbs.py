import json
import shlex
from dataclasses import replace

import pyarrow as pa
import pytest

from nrray.cli import main
from nrray.config import validate_mapping
from nrray.errors import DataError
from nrray.formats import ExportConfig, export_annotations
from nrray.storage import Folder
from nrray.tables import rows_from_table, table_from_rows
from nrray.types import Coverage, Origin, Segment
from tests.formats.support import write_manifest


def write_version(folder):
    """A published version: three windows, of which the last failed, and a segment with a score."""
    version = Folder(str(folder))
    version.create()
    fact = {"video_id": "id", "path": "alone.mp4", "source": "model"}
    segment = Segment(**fact, activity="suction", start_us=1_000_000, end_us=3_000_000, score=0.9, origin=Origin.MODEL)
    windows = [
        Coverage(**fact, start_us=start, end_us=start + 3_000_000, status=status, error_kind=kind, reason=kind)
        for start, status, kind in ((0, "ok", None), (2_000_000, "ok", None), (9_000_000, "failed", "decode_failed"))
    ]
    version.write_table("segments.parquet", table_from_rows([segment], Segment))
    version.write_table("coverage.parquet", table_from_rows(windows, Coverage))
    return version.uri


def test_a_label_version_is_exported_and_what_is_lost_is_said(tmp_path):
    settings = {
        "input": write_version(tmp_path / "v0001"),
        "format": "boris",
        "output": str(tmp_path / "out"),
        "manifest": write_manifest(tmp_path),
    }
    result = export_annotations(validate_mapping(ExportConfig, settings, where="a test"))
    said = " ".join(result.notes)
    assert "1 score left out" in said
    assert "Not examined (failed or not run): 1 window." in said
    project = json.loads((tmp_path / "out/alone.mp4.boris").read_text())
    assert project["observations"]["model"]["observation time interval"] == [0.0, 5.0]


def test_the_examined_time_of_a_version_is_the_union_of_its_windows_by_source(tmp_path):
    folder = write_version(tmp_path / "v0001")
    version = Folder(folder)
    windows = rows_from_table(version.read_table("coverage.parquet"), Coverage)
    other = [replace(windows[0], source="other", start_us=5_000_000, end_us=8_000_000)]  # touches the model's
    version.write_table("coverage.parquet", table_from_rows([*windows, *other], Coverage))
    settings = {
        "input": folder,
        "format": "boris",
        "output": str(tmp_path / "out"),
        "manifest": write_manifest(tmp_path),
    }
    export_annotations(validate_mapping(ExportConfig, settings, where="a test"))
    observations = json.loads((tmp_path / "out/alone.mp4.boris").read_text())["observations"]
    intervals = {name: item["observation time interval"] for name, item in observations.items()}
    assert intervals == {"model": [0.0, 5.0], "other": [5.0, 8.0]}


def test_a_folder_without_annotations_that_is_no_version_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no segments\.parquet"):
        export_annotations(ExportConfig(input=str(tmp_path), format="webvtt", output=str(tmp_path / "out")))
    write_version(tmp_path / "v")
    Folder(str(tmp_path / "v")).write_table("coverage.parquet", pa.table({"path": ["a"]}))
    with pytest.raises(DataError, match="lacks columns"):
        export_annotations(ExportConfig(input=str(tmp_path / "v"), format="webvtt", output=str(tmp_path / "out")))


def next_words(said: str) -> list[str]:
    """The words of the next command after `nrray`."""
    return shlex.split(said.partition("Next: nrray ")[2].splitlines()[0])


def test_imports_and_exports_have_a_page_of_their_run(tmp_path, capsys):
    (tmp_path / "alone.txt").write_text("suction\t1000\t2500\t1500\nsuction\t3000\t3000\t0\n")
    words = [
        f"files=[{tmp_path}/alone.txt]",
        f"manifest={write_manifest(tmp_path)}",
        f"output={tmp_path}/in",
        "extent=whole",
    ]
    assert main(["import", *(word for setting in words for word in ("--set", setting))]) == 0
    assert f"Page: {tmp_path}/in/index.html" in capsys.readouterr().out.replace("\n", "")
    page = (tmp_path / "in/index.html").read_text()
    assert "1 segment and 1 extent of 1 file, with 1 note: read them below." in page
    assert all(
        f'href="{name}"' in page for name in ("segments.parquet", "extents.parquet", "import.json", "config.yaml")
    )
    out = [f"input={tmp_path}/in", "format=webvtt", f"output={tmp_path}/vtt"]
    assert main(["export", *(word for setting in out for word in ("--set", setting))]) == 0
    page = (tmp_path / "vtt/index.html").read_text()
    assert "1 segment in 1 file, one per video." in page
    assert 'href="alone.mp4.vtt"' in page


def test_the_verbs_import_export_and_name_the_next_command(tmp_path, capsys):
    (tmp_path / "alone.txt").write_text("suction\t1000\t2500\t1500\n")
    manifest = write_manifest(tmp_path)
    words = [f"files=[{tmp_path}/alone.txt]", f"manifest={manifest}", f"output={tmp_path}/in", "extent=whole"]
    arguments = [word for setting in words for word in ("--set", setting)]
    assert main(["import", *arguments]) == 0
    said = capsys.readouterr().out
    assert "suction 1.5" in said
    following = next_words(said)
    assert following[0] == "split"
    assert f"annotations={tmp_path}/in" in following
    assert main(["import", *arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["files"][0]["seconds_by_activity"] == {"suction": 1.5}
    out = ["--set", f"input={tmp_path}/in", "--set", "format=webvtt", "--set", f"output={tmp_path}/vtt"]
    assert main(["export", *out]) == 0
    assert "00:00:01.000 --> 00:00:02.500" in (tmp_path / "vtt/alone.mp4.vtt").read_text()
    assert "Next: " not in capsys.readouterr().out  # it takes a manifest, which was not given
    assert main(["export", *out, "--set", f"manifest={manifest}"]) == 0
    again = next_words(capsys.readouterr().out)
    assert main(again) == 0
    assert "suction 1.5" in capsys.readouterr().out
    assert main(["import", *arguments, "--set", "fromat=elan"]) == 2
    assert "did you mean 'format'?" in capsys.readouterr().err


def test_of_many_files_those_with_something_to_say_are_told(tmp_path, capsys):
    manifest = write_manifest(tmp_path)
    for number in range(30):
        folder = tmp_path / f"annotator{number:02d}"
        folder.mkdir()
        twice = "suction\t3000\t3000\t0\n" if number == 7 else ""
        (folder / "alone.txt").write_text("suction\t1000\t2500\t1500\n" + twice)
    words = [f"files=[{tmp_path}/*/alone.txt]", f"manifest={manifest}", f"output={tmp_path}/in", "extent=whole"]
    arguments = [word for setting in [*words, "source={folder}"] for word in ("--set", setting)]
    assert main(["import", *arguments]) == 0
    said = capsys.readouterr().out
    assert said.count("alone.txt") == 1 + said.count("Next:")  # the one with a note, and the command
    assert "30 files" in said
    assert "Seconds in all: suction 45.0" in said
    following = next_words(said)
    assert following[-4:] == ["--set", "annotator=annotator00", "--set", f"output={tmp_path}/in-annotator00"]
    assert main(following) == 0
    assert "Next: nrray split" in capsys.readouterr().out


def test_what_is_outside_the_model_s_domain_is_said_and_stays_in_the_source(tmp_path):
    folder = write_version(tmp_path / "v0001")
    version = Folder(folder)
    windows = rows_from_table(version.read_table("coverage.parquet"), Coverage)
    refused = replace(windows[2], path="other.mp4", status="not_assessable", error_kind="outside_domain")
    marked = [replace(window, source="model (outside its domain)") for window in windows[:2]]
    version.write_table("coverage.parquet", table_from_rows([*marked, refused], Coverage))
    segments = rows_from_table(version.read_table("segments.parquet"), Segment)
    moved = [replace(segment, source="model (outside its domain)") for segment in segments]
    version.write_table("segments.parquet", table_from_rows(moved, Segment))
    settings = {"input": folder, "format": "delimited", "output": str(tmp_path / "out")}
    said = " ".join(export_annotations(validate_mapping(ExportConfig, settings, where="a test")).notes)
    assert "Not assessable: 1 window of videos unlike" in said
    assert "labelled all the same: 1 video." in said
    assert "Not examined" not in said
    assert "model (outside its domain)" in (tmp_path / "out/alone.mp4.csv").read_text()
