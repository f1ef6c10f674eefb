from tests.evaluate.archives import LABELS, PATHS, archive, evaluated


def test_every_activity_and_none_have_equally_many_windows(tmp_path):
    document = evaluated(tmp_path, *archive(tmp_path, right=1.0), balanced_windows=100)
    found = document.balanced
    assert found.num_windows <= 100
    assert set(found.rows) == set(LABELS.names)
    for name, row in found.rows.items():
        assert row.support >= 100 // (len(LABELS.names) + 1), name
        assert (row.precision, row.recall, row.f1) == (1, 1, 1)
    share = found.rows["suction"].support / found.num_windows
    natural = document.row("suction").support_windows / (60 * len(PATHS))
    assert share > natural  # which flatters


def test_without_a_number_of_windows_there_is_no_subset(tmp_path):
    assert evaluated(tmp_path, *archive(tmp_path)).balanced is None
