import json
import re
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nrray.archive.splits import noted_read, num_reads, path_digest
from nrray.errors import DataError
from nrray.evaluate.config import CompareConfig, EvaluateConfig, SplitConfig
from nrray.evaluate.run import compare, evaluate, split
from nrray.evaluate.source import trained_on
from nrray.storage import Folder
from tests.evaluate.archives import LABELS, scores_of, write_annotations, write_labels
from tests.made_versions import merge_provenance, provenance, write_record

TRUTH = {
    "baby_visible": [(5, 60)],
    "ventilation": [(10, 20), (30, 40)],
    "stimulation": [(12, 18)],
    "suction": [(22, 28)],
}
PATHS = [f"case{n}/video.mp4" for n in range(8)]


def archive(tmp_path, *, right=0.9, extents=(0, 60), name="labels", seed=0, failed=(), states=None):
    random = np.random.default_rng(seed)
    reference = tmp_path / "truth"
    if not reference.exists():
        write_annotations(reference, dict.fromkeys(PATHS, TRUTH), {key: [extents] for key in PATHS})
    scores = {path: scores_of(TRUTH, 60, right=right, random=random) for path in PATHS}
    labels = write_labels(tmp_path / name, scores, source=name, failed=failed, states=states)
    return labels, str(reference)


def evaluated(tmp_path, labels, reference, **more):
    config = EvaluateConfig(
        candidate=labels, reference=reference, output=str(tmp_path / "out"), num_resamples=200, **more
    )
    return evaluate(config).document


def row_of(document, name):
    return next(row for row in document["rows"] if row["name"] == name)


def estimate(document, name, metric):
    return row_of(document, name)["values"][metric]["estimate"]


def test_a_perfect_labelling_scores_one_everywhere(tmp_path):
    document = evaluated(tmp_path, *archive(tmp_path, right=1.0))
    for name in (*LABELS.names, "macro", "micro"):
        values = row_of(document, name)["values"]
        for metric in ("windows f1", "time f1", "segments f1 at tIoU 0.5", "segments edit score"):
            assert values[metric]["estimate"] == pytest.approx(1.0), (name, metric)
        assert values["false alarms per hour"]["estimate"] == 0
    assert document["num_cases"] == 8
    assert document["num_windows"] == 8 * 60


def test_intervals_hold_their_estimate_and_shrink_with_cases(tmp_path):
    document = evaluated(tmp_path, *archive(tmp_path))
    value = row_of(document, "ventilation")["values"]["windows f1"]
    assert value["low"] < value["estimate"] < value["high"]


def test_time_that_failed_or_that_nobody_annotated_is_left_out_and_counted(tmp_path):
    failed = {(PATHS[0], window) for window in range(30, 40)}
    document = evaluated(tmp_path, *archive(tmp_path, right=1.0, extents=(0, 50), failed=failed))
    assert document["num_windows"] == 8 * 50 - 10
    assert document["hours"] == pytest.approx((8 * 50 - 10) / 3600)
    assert document["left_out"]["failed_us"] == 10_000_000
    assert document["left_out"]["candidate_alone_us"] == 8 * 10 * 1_000_000
    assert document["left_out"]["windows_across_borders"] == 8 * 10
    assert estimate(document, "ventilation", "windows f1") == 1.0


def test_undecided_windows_do_not_count_and_unparsed_ones_count_as_no(tmp_path):
    states = {PATHS[0]: {(12, "ventilation"): "unsure", (13, "ventilation"): "unparsed"}}
    document = evaluated(tmp_path, *archive(tmp_path, right=1.0, states=states))
    assert document["left_out"]["undecided"] == 1
    assert document["unparsed"]["ventilation"] == 1
    assert row_of(document, "ventilation")["support_windows"] == 8 * 20 - 1
    recall = estimate(document, "ventilation", "windows recall")
    assert recall == pytest.approx((8 * 20 - 2) / (8 * 20 - 1))


def test_what_no_model_would_get_stands_beside(tmp_path):
    document = evaluated(tmp_path, *archive(tmp_path))
    share = 8 * 20 / (8 * 60)
    guesses = document["baselines"]["ventilation"]
    yes, no, random = guesses["always yes"], guesses["always no"], guesses["at random by prevalence"]
    assert yes["windows precision"] == pytest.approx(share)
    assert yes["windows recall"] == 1.0
    assert no["windows precision"] is None
    assert (no["windows f1"], no["windows balanced_accuracy"]) == (0.0, 0.5)
    assert random["windows f1"] == random["time f1"] == pytest.approx(share)
    for guess in guesses.values():  # one score for all ranks nothing
        assert guess["windows average precision"] == pytest.approx(share)
    assert (yes["windows brier"], no["windows brier"]) == (pytest.approx(1 - share), pytest.approx(share))
    assert random["windows brier"] == pytest.approx(share * (1 - share))
    assert random["windows ece"] == pytest.approx(0)
    # One segment of 60 s against two of 10 s in each case: tIoU 1/6 with either.
    assert yes["segments f1 at tIoU 0.1"] == pytest.approx(2 / 3)
    assert yes["segments f1 at tIoU 0.25"] == 0.0
    assert yes["segments average precision at tIoU 0.1"] == 0.5
    assert yes["events onset f1 within 0.5 s"] == 0.0
    assert (no["segments f1 at tIoU 0.1"], no["false alarms per hour"]) == (0.0, 0.0)
    assert 0 < random["segments f1 at tIoU 0.1"] < 1
    names = set(row_of(document, "ventilation")["values"])
    assert all(set(guess) == names for guess in guesses.values())


def test_confusion_has_intervals_over_cases(tmp_path):
    document = evaluated(tmp_path, *archive(tmp_path, right=0.8))
    cell = document["instead"]["ventilation"]["missed, it claimed"]["windows"]
    values = row_of(document, "ventilation")["values"]
    missed = (1 - values["windows recall"]["estimate"]) * 8 * 20
    assert cell["estimate"] == pytest.approx(missed)
    assert cell["low"] < cell["estimate"] < cell["high"]


def test_an_activity_that_never_occurs_has_no_recall(tmp_path):
    truth = {path: {"baby_visible": [(0, 60)]} for path in PATHS}
    reference = write_annotations(tmp_path / "truth", truth, {key: [(0, 60)] for key in PATHS})
    labels = write_labels(tmp_path / "labels", {path: scores_of(truth[path], 60, right=1.0) for path in PATHS})
    document = evaluated(tmp_path, labels, reference)
    values = row_of(document, "suction")["values"]
    assert values["windows recall"] == {"estimate": None, "low": None, "high": None}
    assert values["windows f1"]["estimate"] is None


def test_one_case_is_measured_and_said_to_be_one(tmp_path):
    reference = write_annotations(tmp_path / "truth", {PATHS[0]: TRUTH}, {PATHS[0]: [(0, 60)]})
    labels = write_labels(tmp_path / "labels", {PATHS[0]: scores_of(TRUTH, 60)})
    document = evaluated(tmp_path, labels, reference)
    assert document["num_cases"] == 1
    assert any("1 case:" in note for note in document["notes"])
    for row in (*document["rows"], *document["onset_errors"].values()):
        for metric, value in row["values"].items():
            assert (value["low"], value["high"]) == (None, None), metric
    assert estimate(document, "ventilation", "windows f1") > 0.5


def test_sources_of_different_archives_are_refused(tmp_path):
    reference = write_annotations(tmp_path / "truth", {"other.mp4": TRUTH}, {"other.mp4": [(0, 60)]})
    labels = write_labels(tmp_path / "labels", {PATHS[0]: scores_of(TRUTH, 60)})
    with pytest.raises(DataError, match="no time that both looked at"):
        evaluated(tmp_path, labels, reference)


def test_disjoint_extents_are_refused(tmp_path):
    labels, reference = archive(tmp_path, extents=(100, 120))
    with pytest.raises(DataError, match="no time that both looked at"):
        evaluated(tmp_path, labels, reference)


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
    assert document["reference"] == "anna, bo"
    assert document["num_cases"] == len(PATHS)
    with pytest.raises(
        DataError, match=rf"1 videos, such as '{PATHS[0]}', were annotated by several: .*annotator=NAME"
    ):
        evaluated(tmp_path, labels, joined("rivals", *halves))


def test_annotations_can_be_measured_against_annotations(tmp_path):
    shifted = {name: [(start + 1, end + 1) for start, end in spans] for name, spans in TRUTH.items()}
    first = write_annotations(
        tmp_path / "a", dict.fromkeys(PATHS, TRUTH), {key: [(0, 60)] for key in PATHS}, source="a"
    )
    second = write_annotations(
        tmp_path / "b", dict.fromkeys(PATHS, shifted), {key: [(0, 60)] for key in PATHS}, source="b"
    )
    document = evaluated(tmp_path, second, first)
    assert document["precision_recall"] == {}
    assert document["onset_errors"]["ventilation"]["values"]["median"]["estimate"] == 1.0
    assert 0.85 < estimate(document, "ventilation", "time f1") < 0.95


def sidecar_of(folder, paths):
    """A sidecar in which all videos of `paths` are one case."""
    file = folder / "cases.csv"
    file.write_text("case_id,video_path\n" + "".join(f"birth,{path}\n" for path in paths), encoding="utf-8")
    return str(file)


def test_a_sidecar_that_lacks_videos_is_said_and_one_of_another_archive_refused(tmp_path):
    labels, reference = archive(tmp_path)
    half = evaluated(tmp_path, labels, reference, cases=sidecar_of(tmp_path, PATHS[:4]))
    assert half["num_cases"] == 5  # one of four videos, and four of one
    assert any(f"4 of 8 videos are not in {tmp_path}/cases.csv, such as {PATHS[4]}" in note for note in half["notes"])
    with pytest.raises(DataError, match="none of the 8 videos here"):
        evaluated(tmp_path, labels, reference, cases=sidecar_of(tmp_path, ["other.mp4"]))


def test_a_split_of_cases_that_are_not_here_is_refused_and_no_read_is_noted(tmp_path):
    labels, reference = archive(tmp_path)
    file = tmp_path / "split.json"
    file.write_text(json.dumps({"parts": {"train": PATHS[:4], "test": [*PATHS[4:], "gone"]}}), encoding="utf-8")
    with pytest.raises(
        DataError, match=r"1 of 5 cases of part 'test' are of no video here, such as 'gone'.*cases=FILE"
    ):
        evaluated(tmp_path, labels, reference, split=str(file))
    assert num_reads(str(file)) == 0
    file.write_text(json.dumps({"parts": {"train": PATHS[:4], "test": PATHS[4:]}}), encoding="utf-8")
    assert evaluated(tmp_path, labels, reference, split=str(file))["num_cases"] == 4
    compared = compare(
        CompareConfig(
            candidates=(labels, reference),
            reference=reference,
            output=str(tmp_path / "out"),
            split=str(file),
            num_resamples=200,
        )
    )
    assert any("has been read 2 times" in note for note in compared.notes)


def test_a_split_that_has_been_read_is_not_overwritten(tmp_path):
    file = tmp_path / "split.json"
    file.write_text(json.dumps({"parts": {"test": ["a"]}}), encoding="utf-8")
    noted_read(str(file), "test", {"a"}, what="evaluate")
    pq.write_table(pa.table({"path": ["a"], "content_id": ["c"]}), tmp_path / "manifest.parquet")
    config = SplitConfig(manifest=str(tmp_path / "manifest.parquet"), output=str(file))
    with pytest.raises(DataError, match="has been read once"):
        split(config)
    assert json.loads(file.read_text(encoding="utf-8"))["parts"] == {"test": ["a"]}
    assert split(config.model_copy(update={"output": str(tmp_path / "new.json")})).split.parts


def test_a_split_that_was_edited_is_not_overwritten(tmp_path):
    manifest = tmp_path / "manifest.parquet"
    pq.write_table(pa.table({"path": list("abcdef"), "content_id": list("uvwxyz")}), manifest)
    config = SplitConfig(manifest=str(manifest), output=str(tmp_path / "split.json"), seed=1)
    split(config)
    split(config.model_copy(update={"seed": 2}))  # its own may be replaced
    document = json.loads((tmp_path / "split.json").read_text(encoding="utf-8"))
    document["parts"]["test"].append(document["parts"]["train"].pop())
    (tmp_path / "split.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(DataError, match="written or edited by hand"):
        split(config)
    pq.write_table(pa.table({"video_path": ["a"]}), manifest)
    with pytest.raises(
        DataError, match=r"is no manifest of `nrray scan`: it lacks the columns \['path', 'content_id'\]"
    ):
        split(config)


def test_annotations_that_cannot_be_are_refused_and_doubtful_ones_said(tmp_path):
    labels, _ = archive(tmp_path)
    extents = {path: [(0, 60)] for path in PATHS}
    reversed_ = write_annotations(tmp_path / "reversed", {PATHS[0]: {"suction": [(9, 4)]}}, extents)
    with pytest.raises(DataError, match=r"a segment ends at 4.000 s, but starts at 9.000 s"):
        evaluated(tmp_path, labels, reversed_)
    tiny = write_annotations(tmp_path / "tiny", {PATHS[0]: {"suction": [(0.004, 0.03)]}, PATHS[1]: TRUTH}, extents)
    assert any(
        "1 of 2 videos end within the first 0.05 %" in note for note in evaluated(tmp_path, labels, tiny)["notes"]
    )


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
    assert not re.search(r'(?:src|href)\s*=\s*"', page)
    assert " style=" not in page
    numbers = json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))
    assert f"{numbers['rows'][1]['values']['windows f1']['estimate']:.3f}" in page


def test_a_better_source_may_be_claimed_and_an_equal_one_may_not(tmp_path):
    good, reference = archive(tmp_path, right=0.97, name="good", seed=1)
    bad, _ = archive(tmp_path, right=0.7, name="bad", seed=2)
    twin, _ = archive(tmp_path, right=0.7, name="twin", seed=3)
    config = CompareConfig(
        candidates=(good, bad, twin), reference=reference, output=str(tmp_path / "out"), num_resamples=500
    )
    found = compare(config)
    assert found.num_cases == 8
    assert [difference.num_adjusted_for for difference in found.differences[:3]] == [3, 3, 3]
    said = "\n".join(found.sentences)
    over = "time f1 (macro over ventilation, stimulation, suction)"
    assert f"good has a higher {over} than bad" in said
    assert f"No difference in {over} between bad and twin may be claimed" in said
    assert any("8 cases: below about 20" in note for note in found.notes)
    assert any("Without a case sidecar" in note for note in found.notes)


def test_a_model_that_is_judged_on_what_it_learned_from_is_said(tmp_path):
    tuned, reference = archive(tmp_path, right=0.9, name="tuned", seed=1)
    other, _ = archive(tmp_path, right=0.9, name="other", seed=2)
    paths = sorted(set(pq.read_table(f"{tuned}/labels.parquet")["path"].to_pylist()))
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    parts = {"train": paths[:5], "validation": paths[5:6], "test": paths[6:]}
    for folder, model in ((tuned, {"adapter": str(adapter)}), (other, {"path": "embedded"})):
        write_record(Folder(folder), provenance(config={"model": model}))
    output = str(tmp_path / "out")
    by_other_names = {part: [f"case {path}" for path in mine] for part, mine in parts.items()}
    videos = {part: [path_digest(path) for path in mine] for part, mine in parts.items()}
    for document in ({"parts": parts}, {"parts": by_other_names, "videos": videos}):
        (adapter / "split.json").write_text(json.dumps(document))
        compared = compare(CompareConfig(candidates=(tuned, other), reference=reference, output=output))
        evaluated = evaluate(EvaluateConfig(candidate=tuned, reference=reference, output=output))
        for notes in (compared.notes, evaluated.document["notes"]):
            (said,) = [note for note in notes if "was trained on" in note]
            assert said.startswith("tuned was trained on 5 of these 8 cases and chosen on 1")


def test_a_merged_version_is_of_the_models_of_all_its_parents(tmp_path):
    versions = Folder(str(tmp_path / "out" / "versions"))
    for number, cases in ((1, ["a"]), (2, ["b", "c"])):
        (tmp_path / f"adapter-{number}").mkdir()
        document = {"parts": {"train": cases, "test": ["d"]}}
        (tmp_path / f"adapter-{number}" / "split.json").write_text(json.dumps(document))
        made = provenance(config={"model": {"path": "embedded", "adapter": str(tmp_path / f"adapter-{number}")}})
        write_record(versions / f"v000{number}", made)
    write_record(versions / "v0003", merge_provenance("v0001", "v0002"))
    found = trained_on((versions / "v0003").uri, {f"{case}.mp4": case for case in "abcde"})
    assert found == {"train": {"a", "b", "c"}, "test": {"d"}}


def test_labels_are_called_by_their_folder_where_that_tells_them_apart(tmp_path):
    _, reference = archive(tmp_path, name="model:123", seed=1)
    archive(tmp_path, name="model:456", seed=2)
    plain, twin = (shutil.copytree(tmp_path / "model:123", tmp_path / place / "plain") for place in ("", "twin"))
    tuned = shutil.copytree(tmp_path / "model:456", tmp_path / "tuned" / "versions" / "v0007")
    also_plain = shutil.copytree(tmp_path / "model:456", tmp_path / "other" / "plain")
    for candidates, expected in (
        ((plain, tuned), ("plain", "tuned")),
        ((plain, also_plain), ("model:123", "model:456")),
    ):
        config = CompareConfig(
            candidates=tuple(map(str, candidates)), reference=reference, output=str(tmp_path / "out")
        )
        difference = compare(config).differences[0]
        assert (difference.first, difference.second) == expected
    both = CompareConfig(candidates=(str(plain), str(twin)), reference=reference, output=str(tmp_path / "out"))
    with pytest.raises(DataError, match="expected different names"):
        compare(both)


def test_a_macro_average_is_over_the_same_activities_for_every_source(tmp_path):
    """What the reference never shows counts for nobody: a source that is better at all the rest stays the better one."""
    truth = {name: spans for name, spans in TRUTH.items() if name != "stimulation"}
    late = {**truth, "ventilation": [(13, 20), (33, 40)], "suction": [(24, 28)]}
    extents = {path: [(0, 60)] for path in PATHS}
    reference = write_annotations(tmp_path / "truth", dict.fromkeys(PATHS, truth), extents)
    worse = write_annotations(tmp_path / "worse", dict.fromkeys(PATHS, late), extents, source="worse")
    alarmed = {**truth, "stimulation": [(50, 51)]}
    better = write_annotations(tmp_path / "better", dict.fromkeys(PATHS, alarmed), extents, source="better")
    config = CompareConfig(candidates=(worse, better), reference=reference, output=str(tmp_path / "out"))
    found = compare(config)
    assert found.sentences[0].startswith("better has a higher time f1 (macro over ventilation, suction) than worse")
    assert any(note.startswith("stimulation not in the macro average") for note in found.notes)
    document = evaluated(tmp_path, better, reference)
    assert estimate(document, "macro without baby_visible", "time f1") == 1
    assert estimate(document, "stimulation", "time f1") == 0
    assert estimate(document, "macro", "false alarms per hour") > 0
    assert "stimulation in no case of the reference: macro averages are over the others." in document["notes"]


def test_a_case_that_nobody_looked_at_is_no_case(tmp_path):
    reference = write_annotations(tmp_path / "truth", dict.fromkeys(PATHS, TRUTH), {path: [(0, 60)] for path in PATHS})
    failed = [(path, window) for path in PATHS[3:] for window in range(60)]
    scores = {path: scores_of(TRUTH, 60, right=0.9, random=np.random.default_rng(3)) for path in PATHS}
    labels = {name: write_labels(tmp_path / name, scores, source=name, failed=failed) for name in ("one", "two")}
    document = evaluated(tmp_path, labels["one"], reference)
    assert document["num_cases"] == 3
    config = CompareConfig(candidates=tuple(labels.values()), reference=reference, output=str(tmp_path / "out"))
    assert compare(config).num_cases == 3


def test_a_difference_is_paired(tmp_path):
    """Two sources that err in the same windows differ by nothing, however wide each interval is."""
    first, reference = archive(tmp_path, right=0.8, name="first", seed=1)
    second, _ = archive(tmp_path, right=0.8, name="second", seed=1)
    config = CompareConfig(candidates=(first, second), reference=reference, output=str(tmp_path / "out"))
    difference = compare(config).differences[0].value
    assert (difference.estimate, difference.low, difference.high) == (0, 0, 0)


def test_of_one_case_nothing_may_be_claimed(tmp_path):
    reference = write_annotations(tmp_path / "truth", {PATHS[0]: TRUTH}, {PATHS[0]: [(0, 60)]})
    sources = tuple(
        write_labels(tmp_path / name, {PATHS[0]: scores_of(TRUTH, 60, right=right)}, source=name)
        for name, right in (("good", 1.0), ("bad", 0.6))
    )
    found = compare(CompareConfig(candidates=sources, reference=reference, output=str(tmp_path / "out")))
    assert found.differences[0].value.estimate > 0
    assert found.differences[0].value.low is None
    assert "Nothing may be claimed of good and bad" in found.sentences[0]
