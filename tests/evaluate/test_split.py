import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nrray.archive.splits import noted_read, stratified_split
from nrray.errors import DataError
from nrray.evaluate.config import SplitConfig
from nrray.evaluate.split import split, with_room_for_two
from tests.evaluate.archives import write_annotations


def test_a_split_that_has_been_read_is_not_overwritten(tmp_path):
    file = tmp_path / "split.json"
    file.write_text(json.dumps({"parts": {"test": ["a"]}}), encoding="utf-8")
    noted_read(str(file), "test", {"a"}, purpose="evaluate")
    pq.write_table(pa.table({"path": list("abc"), "content_id": list("uvw")}), tmp_path / "manifest.parquet")
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


def written_archive(tmp_path):
    """Twenty births of two cameras: ten of each site, and half of each site with suction, seen by the second camera alone."""
    cases = [f"birth-{n:02}" for n in range(20)]
    paths = {case: (f"{case}/head.mp4", f"{case}/foot.mp4") for case in cases}
    rows = [f"{case},{path},site-{n % 2}" for n, case in enumerate(cases) for path in paths[case]]
    (tmp_path / "cases.csv").write_text("\n".join(["case_id,video_path,site", *rows]), encoding="utf-8")
    every = [path for pair in paths.values() for path in pair]
    pq.write_table(pa.table({"path": every, "content_id": every}), tmp_path / "manifest.parquet")
    with_suction = {paths[case][1]: {"suction": [(1, 2)]} for n, case in enumerate(cases) if n % 4 < 2}
    annotations = write_annotations(tmp_path / "annotations", with_suction, {path: [(0, 9)] for path in every})
    return SplitConfig(
        manifest=str(tmp_path / "manifest.parquet"),
        cases=str(tmp_path / "cases.csv"),
        annotations=annotations,
        output=str(tmp_path / "split.json"),
        fractions={"train": 0.6, "test": 0.4},
    )


def test_activities_and_sites_are_spread_evenly(tmp_path):
    written = split(written_archive(tmp_path))
    assert {part: len(cases) for part, cases in written.split.parts.items()} == {"train": 12, "test": 8}
    for shares in written.shares.values():
        assert shares["suction"] == shares["site site-0"] == shares["site site-1"] == 0.5
        assert shares["ventilation"] == 0


def test_without_annotations_sites_alone_are_spread(tmp_path):
    written = split(written_archive(tmp_path).model_copy(update={"annotations": None}))
    assert set(written.shares["train"]) == {"site site-0", "site site-1"}


def test_copies_of_one_video_in_two_parts_are_refused(tmp_path):
    config = written_archive(tmp_path)
    paths = pq.read_table(config.manifest)["path"].to_pylist()
    pq.write_table(pa.table({"path": paths, "content_id": ["one"] * len(paths)}), config.manifest)
    with pytest.raises(DataError, match="the same video content one is in"):
        split(config)
    assert not (tmp_path / "split.json").exists()


@pytest.mark.parametrize("num_cases", [6, 8, 10, 13])
def test_of_few_cases_every_part_still_gets_two(tmp_path, num_cases):
    fractions = with_room_for_two({"train": 0.7, "validation": 0.15, "test": 0.15}, num_cases)
    assert sum(fractions.values()) == pytest.approx(1)
    assert min(fractions.values()) * num_cases >= 2 - 1e-9
    names = [f"case-{number}" for number in range(num_cases)]
    parts = stratified_split(names, np.zeros((num_cases, 0), bool), fractions=fractions, seed=0).parts
    assert min(map(len, parts.values())) >= 2


@pytest.mark.parametrize("num_cases", [3, 4, 5])
def test_of_very_few_cases_every_part_still_gets_one(num_cases):
    fractions = with_room_for_two({"train": 0.7, "validation": 0.15, "test": 0.15}, num_cases)
    assert sum(fractions.values()) == pytest.approx(1)
    names = [f"case-{number}" for number in range(num_cases)]
    parts = stratified_split(names, np.zeros((num_cases, 0), bool), fractions=fractions, seed=0).parts
    assert [len(cases) for cases in parts.values()] == [num_cases - 2, 1, 1]


def test_fractions_stay_where_nothing_is_gained_or_a_part_is_left_out():
    asked = {"train": 0.7, "validation": 0.15, "test": 0.15}
    assert with_room_for_two(asked, 40) == asked
    assert with_room_for_two(asked, 2) == asked
    assert with_room_for_two({"train": 0.9, "validation": 0.1, "test": 0.0}, 10) == {
        "train": pytest.approx(0.8), "validation": 0.2, "test": 0.0,
    }  # fmt: skip


def of_cases(tmp_path, shown, **settings):
    """A split of as many cases as `shown` has, each with the activities that it names."""
    names = [f"case-{number:02}" for number in range(len(shown))]
    pq.write_table(pa.table({"path": names, "content_id": names}), tmp_path / "manifest.parquet")
    segments = {
        name: {activity: [(1, 2)] for activity in activities} for name, activities in zip(names, shown, strict=True)
    }
    annotations = write_annotations(tmp_path / "annotations", segments, {name: [(0, 9)] for name in names})
    return split(
        SplitConfig(
            manifest=str(tmp_path / "manifest.parquet"),
            annotations=annotations,
            output=str(tmp_path / "split.json"),
            **settings,
        )
    )


def test_a_part_without_a_case_is_an_error_and_nothing_is_written(tmp_path):
    with pytest.raises(DataError, match=r"found 2 cases, of which part '\w+' gets none .* Annotate more cases"):
        of_cases(tmp_path, [("suction",), ()])
    assert not (tmp_path / "split.json").exists()
    assert of_cases(tmp_path, [("suction",), ()], fractions={"train": 0.5, "validation": 0.5, "test": 0.0}).split.parts[
        "train"
    ] == ("case-00",)


def test_three_of_24_cases_that_show_an_activity_are_one_for_each_part(tmp_path):
    """A single deal by these fractions leaves the validation part without one for most seeds."""
    for seed in range(5):
        folder = tmp_path / str(seed)
        folder.mkdir()
        shown = [("baby_visible", *(["ventilation"] if number < 3 else []), *(["suction"] if number % 5 == 0 else []))
                 for number in range(24)]  # fmt: skip
        written = of_cases(folder, shown, seed=seed)
        assert all(shares["ventilation"] > 0 for shares in written.shares.values())
        assert all(shares["suction"] > 0 for shares in written.shares.values())
        assert [len(cases) for cases in written.split.parts.values()] in ([16, 4, 4], [17, 4, 3], [17, 3, 4])
        assert [note for note in written.notes if "ventilation" in note or "suction" in note] == []


def test_what_a_part_lacks_is_said_for_each_activity_and_what_only_one_case_shows_is_trained_on(tmp_path):
    shown = [("baby_visible", *(["stimulation"] if number == 7 else [])) for number in range(12)]
    written = of_cases(tmp_path, shown)
    assert "case-07" in written.split.parts["train"]
    said = " ".join(written.notes)
    assert "Part 'validation' has no case that shows stimulation (1 of 12 cases shows it)" in said
    assert "Part 'test' has no case that shows stimulation" in said
    assert "Part 'train' has no case that shows stimulation" not in said
    assert "baby_visible" not in said
    assert "Part 'train' has no case that shows ventilation (0 of 12 cases show it): it cannot be learned." in said


def test_without_annotations_it_is_said_that_activities_could_not_be_balanced(tmp_path):
    written = split(written_archive(tmp_path).model_copy(update={"annotations": None}))
    assert "activities could not be balanced" in " ".join(written.notes)
    assert not any("could not be balanced" in note for note in split(written_archive(tmp_path)).notes)
