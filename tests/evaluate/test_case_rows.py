from tests.evaluate.archives import PATHS, TRUTH, evaluated, write_annotations

US = 1_000_000


def shifted(seconds):
    return {name: [(start + seconds, end + seconds) for start, end in spans] for name, spans in TRUTH.items()}


def test_cases_come_worst_first_and_the_first_ones_with_both_timelines(tmp_path):
    extents = {path: [(0, 60)] for path in PATHS}
    reference = write_annotations(tmp_path / "truth", dict.fromkeys(PATHS, TRUTH), extents)
    late = {path: shifted(n / 2) for n, path in enumerate(PATHS)}
    candidate = write_annotations(tmp_path / "late", late, extents, source="late")
    rows = evaluated(tmp_path, candidate, reference, worst_cases=2).cases
    assert [row.case_id for row in rows] == PATHS[::-1]
    assert [row.macro_f1 for row in rows] == sorted(row.macro_f1 for row in rows)
    assert rows[-1].macro_f1 == 1
    assert [len(row.videos) for row in rows[:3]] == [1, 1, 0]
    (video,) = rows[0].videos
    assert video.path == PATHS[-1]
    assert video.evaluated == ((0, 60 * US),)
    assert video.lanes["suction"].reference == ((22 * US, 28 * US),)
    assert video.lanes["suction"].candidate == ((25.5 * US, 31.5 * US),)


def test_the_macro_f1_of_a_case_is_without_the_excluded_activity(tmp_path):
    extents = {PATHS[0]: [(0, 60)]}
    reference = write_annotations(tmp_path / "truth", {PATHS[0]: TRUTH}, extents)
    unseen = {name: spans for name, spans in TRUTH.items() if name != "baby_visible"}
    candidate = write_annotations(tmp_path / "unseen", {PATHS[0]: unseen}, extents, source="unseen")
    (row,) = evaluated(tmp_path, candidate, reference).cases
    assert row.f1["baby_visible"] == 0
    assert row.macro_f1 == 1
