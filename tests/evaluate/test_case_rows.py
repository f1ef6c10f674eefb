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


def test_a_case_in_which_nothing_happens_has_no_f1_and_is_no_worst_case(tmp_path):
    paths = PATHS[:4]
    extents = {path: [(0, 60)] for path in paths}
    truth = {paths[0]: TRUTH, paths[1]: {}, paths[2]: {"baby_visible": [(5, 60)]}, paths[3]: TRUTH}
    claimed = {paths[0]: shifted(2), paths[1]: {"suction": [(3, 9)]}, paths[2]: {"suction": [(3, 23)]}, paths[3]: TRUTH}
    reference = write_annotations(tmp_path / "truth", truth, extents)
    candidate = write_annotations(tmp_path / "claims", claimed, extents, source="claims")
    rows = evaluated(tmp_path, candidate, reference, worst_cases=4).cases
    assert [row.case_id for row in rows] == [paths[0], paths[3], paths[2], paths[1]]
    assert [row.macro_f1 is None for row in rows] == [False, False, True, True]
    assert [row.claimed_wrongly_us for row in rows[1:]] == [0, 20 * US, 6 * US]
    assert [len(row.videos) for row in rows] == [1, 1, 0, 0]
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "2 of 4 cases show none of the activities of the macro average in the reference" in page


def test_a_false_claim_does_not_enter_the_mean_of_a_case_that_shows_other_activities(tmp_path):
    extents = {PATHS[0]: [(0, 60)]}
    truth = {"baby_visible": [(5, 60)], "ventilation": [(10, 20)]}
    reference = write_annotations(tmp_path / "truth", {PATHS[0]: truth}, extents)
    claims = {PATHS[0]: {**truth, "suction": [(30, 32)]}}
    (row,) = evaluated(tmp_path, write_annotations(tmp_path / "claims", claims, extents), reference).cases
    assert (row.f1["suction"], row.macro_f1, row.claimed_wrongly_us) == (0, 1, 2 * US)
