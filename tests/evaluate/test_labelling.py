import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nrray.errors import DataError
from tests.evaluate.archives import PATHS, TRUTH, archive, evaluated, scores_of, write_annotations, write_labels


def test_annotators_share_an_archive_but_not_a_video(tmp_path):
    labels = write_labels(tmp_path / "labels", {path: scores_of(TRUTH, 60) for path in PATHS})
    halves = [
        write_annotations(
            tmp_path / name, dict.fromkeys(paths, TRUTH), {path: [(0, 60)] for path in paths}, source=name
        )
        for name, paths in (("anna", PATHS[:2]), ("bo", PATHS[2:]), ("cleo", PATHS[:1]))
    ]

    def joined(name, *folders):
        (tmp_path / name).mkdir()
        for table in ("segments.parquet", "extents.parquet"):
            parts = [pq.read_table(f"{folder}/{table}") for folder in folders]
            pq.write_table(pa.concat_tables(parts), tmp_path / name / table)
        return str(tmp_path / name)

    document = evaluated(tmp_path, labels, joined("shared", *halves[:2]))
    assert document.reference == "anna, bo"
    assert document.num_cases == len(PATHS)
    with pytest.raises(
        DataError, match=rf"1 videos, such as '{PATHS[0]}', were annotated by several: .*annotator=NAME"
    ):
        evaluated(tmp_path, labels, joined("rivals", *halves))


def test_annotations_that_cannot_be_are_refused_and_doubtful_ones_noted(tmp_path):
    labels, _ = archive(tmp_path)
    extents = {path: [(0, 60)] for path in PATHS}
    reversed_ = write_annotations(tmp_path / "reversed", {PATHS[0]: {"suction": [(9, 4)]}}, extents)
    with pytest.raises(DataError, match=r"a segment ends at 4.000 s, but starts at 9.000 s"):
        evaluated(tmp_path, labels, reversed_)
    tiny = write_annotations(tmp_path / "tiny", {PATHS[0]: {"suction": [(0.004, 0.03)]}, PATHS[1]: TRUTH}, extents)
    assert any("1 of 2 videos end within the first 0.05 %" in note for note in evaluated(tmp_path, labels, tiny).notes)


def test_videos_outside_the_model_s_domain_and_answers_that_say_nothing_are_noted(tmp_path):
    truth = write_annotations(tmp_path / "truth", dict.fromkeys(PATHS, TRUTH), {path: [(0, 60)] for path in PATHS})
    states = {PATHS[0]: {(0, "suction"): "unparsed"}}
    labels = write_labels(tmp_path / "labels", {path: scores_of(TRUTH, 60) for path in PATHS}, states=states)
    for table in ("labels", "coverage", "segments"):
        rows = pq.read_table(f"{labels}/{table}.parquet").to_pylist()
        for row in rows:
            if row["path"] == PATHS[1]:
                row["source"] += " (outside its domain)"
            if row["path"] == PATHS[2]:
                row |= {key: "not_assessable" for key in ("status", "state") if key in row}
        kept = [row for row in rows if table != "segments" or row["path"] != PATHS[2]]
        pq.write_table(
            pa.Table.from_pylist(kept, pq.read_schema(f"{labels}/{table}.parquet")), f"{labels}/{table}.parquet"
        )
    document = evaluated(tmp_path, labels, truth)
    notes = " ".join(document.notes)
    count = len(PATHS)
    assert f"1 of {count} videos are unlike those that the model was trained on" in notes
    assert f"1 of {count} videos are outside the model's domain and were labelled all the same" in notes
    assert "answers that could not be parsed; they count as no" in notes
    assert document.candidate == "model"
    assert document.num_videos == count - 1
