import json

import numpy as np
import pytest

from nrray.archive.splits import (
    Split,
    balanced_split,
    check_cases,
    check_contents,
    is_by_hand,
    noted_read,
    num_reads,
    part_cases,
    read_split,
    split_document,
    stratified_split,
)
from nrray.errors import DataError

FRACTIONS = {"train": 0.7, "validation": 0.15, "test": 0.15}
CASES = [f"case-{n:03d}" for n in range(100)]


def test_every_case_is_in_one_part_and_rare_labels_are_spread():
    labels = np.random.default_rng(0).random((100, 3)) < (0.9, 0.3, 0.1)
    split = stratified_split(CASES, labels, fractions=FRACTIONS, seed=1)
    assert sorted(case for cases in split.parts.values() for case in cases) == CASES
    index_of = {case: index for index, case in enumerate(CASES)}
    for part, share in FRACTIONS.items():
        rows = labels[[index_of[case] for case in split.parts[part]]]
        assert abs(len(rows) - 100 * share) <= 3
        for label in range(3):
            assert abs(rows[:, label].sum() - share * labels[:, label].sum()) <= 2, (part, label)


@pytest.mark.parametrize("seed", range(20))
def test_the_rarest_label_is_assigned_first(seed):
    labels = np.array([[n < 10, n in (0, 1)] for n in range(20)])
    split = stratified_split(CASES[:20], labels, fractions={"train": 0.5, "test": 0.5}, seed=seed)
    assert [len({CASES[0], CASES[1]} & set(cases)) for cases in split.parts.values()] == [1, 1]
    assert [len(set(CASES[:10]) & set(cases)) for cases in split.parts.values()] == [5, 5]


def test_the_same_seed_gives_the_same_split():
    labels = np.zeros((100, 0), bool)
    first, again = (stratified_split(CASES, labels, fractions=FRACTIONS, seed=1) for _ in range(2))
    assert first == again
    assert first != stratified_split(CASES, labels, fractions=FRACTIONS, seed=2)


def test_a_split_file_is_read_as_written_or_by_hand(tmp_path):
    split = Split(parts={"train": ("a", "b"), "test": ("c",)})
    file = tmp_path / "split.json"
    file.write_text(split_document(split, seed=1), encoding="utf-8")
    assert read_split(str(file)) == split
    file.write_text(json.dumps({"parts": {"test": ["Ä"]}}), encoding="utf-8")
    assert part_cases(read_split(str(file)), "test") == {"Ä"}
    with pytest.raises(DataError, match="expected one named 'train'"):
        part_cases(read_split(str(file)), "train")


@pytest.mark.parametrize("text", ["[]", '{"parts": {"test": "a"}}', '{"parts": {"test": [1]}}'])
def test_a_file_that_is_no_split_is_refused(tmp_path, text):
    file = tmp_path / "split.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match="expected"):
        read_split(str(file))


def test_a_case_in_two_parts_is_refused(tmp_path):
    file = tmp_path / "split.json"
    file.write_text(json.dumps({"parts": {"train": ["a"], "test": ["a"]}}), encoding="utf-8")
    with pytest.raises(DataError, match="'a' is in train and in test"):
        read_split(str(file))


def test_one_content_under_two_names_in_two_parts_is_refused():
    split = Split(parts={"train": ("a", "b"), "test": ("c",)})
    check_contents(split, {"a": frozenset({"1"}), "b": frozenset({"1"}), "c": frozenset({"2"})})
    with pytest.raises(DataError, match="same video content 1"):
        check_contents(split, {"a": frozenset({"1"}), "c": frozenset({"1"})})


def test_reads_of_a_part_are_counted(tmp_path):
    file = str(tmp_path / "split.json")
    cases = {"test": ["a", "b"], "train": ["c"]}
    assert [noted_read(file, part, cases[part], purpose="x") for part in ("test", "test", "train", "test")] == [
        1,
        2,
        1,
        3,
    ]


def test_reads_of_the_same_cases_under_another_name_count_on(tmp_path):
    assert noted_read(str(tmp_path / "split.json"), "test", ["a", "b"], purpose="x") == 1
    copy = str(tmp_path / "copy.json")
    assert noted_read(copy, "test", ["b", "a"], purpose="x") == 2
    assert noted_read(copy, "test", ["a"], purpose="x") == 2  # edited: this file's part has been read before
    assert noted_read(str(tmp_path / "other.json"), "test", ["c"], purpose="x") == 1


def test_parts_are_sorted():
    split = stratified_split(CASES[::-1], np.zeros((100, 1), bool), fractions=FRACTIONS, seed=1)
    assert all(list(cases) == sorted(cases) for cases in split.parts.values())


def test_of_equal_needs_the_part_with_most_room_takes_a_case_so_that_sizes_stay_as_asked():
    fractions, labels = {"train": 0.5, "test": 0.5}, np.array([[n == 0, n in (1, 2, 3)] for n in range(4)])
    for seed in range(10):
        split = stratified_split(CASES[:4], labels, fractions=fractions, seed=seed)
        assert [len(cases) for cases in split.parts.values()] == [2, 2]


def test_a_split_that_somebody_changed_is_told_from_one_as_it_was_written(tmp_path):
    file = tmp_path / "split.json"
    assert not is_by_hand(str(file))
    text = split_document(Split(parts={"train": ("a", "b"), "test": ("c",)}), seed=1)
    file.write_text(text, encoding="utf-8")
    assert not is_by_hand(str(file))
    for changed in (text.replace('"c"', '"d"'), json.dumps({"parts": {"train": ["a"]}}), "[]"):
        file.write_text(changed, encoding="utf-8")
        assert is_by_hand(str(file))


def test_cases_that_are_of_no_video_here_are_refused():
    split = Split(parts={"train": ("a", "b"), "test": ("c",)})
    check_cases(split, "train", {"a", "b"}, uri="split.json")
    with pytest.raises(DataError, match=r"1 of 2 cases of part 'train' are of no video here, such as 'b'"):
        check_cases(split, "train", {"a", "c"}, uri="split.json")


def test_a_note_of_a_read_names_no_case(tmp_path):
    file = str(tmp_path / "split.json")
    assert num_reads(file) == 0
    for part in ("test", "train"):
        noted_read(file, part, ["case-of-a-person"], purpose="x")
    assert num_reads(file) == 2
    assert not [path for path in tmp_path.iterdir() if b"case-of-a-person" in path.read_bytes()]


def test_of_many_deals_one_is_kept_in_which_no_part_lacks_a_label_whatever_the_seed():
    labels = np.random.default_rng(3).random((24, 6)) < (1.0, 0.25, 0.5, 0.2, 0.3, 0.4)

    def num_lacking(split):
        rows = [[int(case[-3:]) for case in cases] for cases in split.parts.values()]
        return sum(int((labels[mine].sum(axis=0) == 0).sum()) for mine in rows)

    nothing = np.zeros((24, 0))
    balanced = [balanced_split(CASES[:24], labels, amounts=nothing, fractions=FRACTIONS, seed=n) for n in range(5)]
    single = [stratified_split(CASES[:24], labels, fractions=FRACTIONS, seed=seed) for seed in range(5)]
    assert [num_lacking(split) for split in balanced] == [0] * 5
    assert sum(num_lacking(split) for split in single) > 0


def test_amounts_of_what_all_cases_show_are_spread_too():
    amounts, labels = np.random.default_rng(3).exponential(size=(24, 2)), np.ones((24, 2), bool)

    def distance(split):
        sums = np.stack([amounts[[int(case[-3:]) for case in cases]].sum(axis=0) for cases in split.parts.values()])
        return float(np.abs(sums / amounts.sum(axis=0) - np.array(list(FRACTIONS.values()))[:, None]).max())

    balanced = [balanced_split(CASES[:24], labels, amounts=amounts, fractions=FRACTIONS, seed=n) for n in range(3)]
    assert max(map(distance, balanced)) < 0.05
    single = [stratified_split(CASES[:24], labels, fractions=FRACTIONS, seed=seed) for seed in range(5)]
    assert max(map(distance, single)) > 0.05


def test_a_balanced_split_is_the_same_for_the_same_seed_and_has_every_case_once():
    labels = np.random.default_rng(0).random((30, 3)) < 0.4
    made = [
        balanced_split(CASES[:30], labels, amounts=labels.astype(float), fractions=FRACTIONS, seed=seed)
        for seed in (1, 1, 2)
    ]
    assert made[0] == made[1] != made[2]
    assert sorted(case for cases in made[0].parts.values() for case in cases) == CASES[:30]
    nothing = balanced_split([], labels[:0], amounts=np.zeros((0, 0)), fractions=FRACTIONS, seed=0)
    assert nothing.parts == {"train": (), "validation": (), "test": ()}
