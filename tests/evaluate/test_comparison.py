import shutil

import pytest

from nrray.console.transcript import Transcript
from nrray.errors import DataError
from nrray.evaluate.comparison import compare
from nrray.evaluate.config import CompareConfig
from nrray.evaluate.run_pages import comparison_run_page
from nrray.report.run_page import write_run_page
from nrray.storage import Folder
from tests.evaluate.archives import (
    PATHS,
    TRUTH,
    archive,
    estimate,
    evaluated,
    scores_of,
    write_annotations,
    write_labels,
)
from tests.report.pages import check_self_contained


def test_a_better_labelling_may_be_claimed_and_an_equal_one_may_not(tmp_path):
    good, reference = archive(tmp_path, right=0.97, name="good", seed=1)
    bad, _ = archive(tmp_path, right=0.7, name="bad", seed=2)
    twin, _ = archive(tmp_path, right=0.7, name="twin", seed=3)
    config = CompareConfig(candidates=(good, bad, twin), reference=reference, output=str(tmp_path / "out"))
    found = compare(config)
    assert found.num_cases == 8
    assert [difference.num_adjusted_for for difference in found.differences[:3]] == [3, 3, 3]
    claims = "\n".join(found.sentences)
    over = "time f1 (macro over ventilation, stimulation, suction)"
    assert f"good has a higher {over} than bad" in claims
    assert f"No difference in {over} between bad and twin may be claimed" in claims
    assert any(note.startswith("8 cases: below about 20") for note in found.notes)
    assert any("Without a case sidecar" in note for note in found.notes)


def test_the_page_of_a_run_begins_with_the_claims(tmp_path):
    good, reference = archive(tmp_path, right=0.97, name="good", seed=1)
    bad, _ = archive(tmp_path, right=0.7, name="<b>bad", seed=2)
    found = compare(CompareConfig(candidates=(good, bad), reference=reference, output=str(tmp_path / "out")))
    write_run_page(Folder(str(tmp_path / "out")), comparison_run_page(found, Transcript(folder="/here")))
    page = check_self_contained((tmp_path / "out" / "index.html").read_text(), folder=tmp_path / "out")
    assert f"Comparison of good, <b>bad {found.sentences[0]}" in page.text


def test_labels_are_called_by_their_folder_where_that_tells_them_apart(tmp_path):
    _, reference = archive(tmp_path, name="model:123", seed=1)
    archive(tmp_path, name="model:456", seed=2)
    plain, twin = (shutil.copytree(tmp_path / "model:123", tmp_path / parent / "plain") for parent in ("", "twin"))
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


def test_a_macro_average_is_over_the_same_activities_for_every_labelling(tmp_path):
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
    macro = found.differences[0]
    assert macro.scope == "macro over ventilation, suction"
    assert macro.value.estimate == pytest.approx((28 / 34 + 8 / 10) / 2 - 1)
    assert any(note.startswith("stimulation not in the macro average") for note in found.notes)
    document = evaluated(tmp_path, better, reference)
    assert estimate(document, "macro without baby_visible", "time f1") == 1
    assert estimate(document, "stimulation", "time f1") == 0
    assert estimate(document, "macro", "false alarms per hour") > 0
    assert "stimulation in no case of the reference: macro averages are over the others." in document.notes


def test_a_resample_counts_an_activity_for_every_labelling_or_for_none(tmp_path):
    """Precision of suction is not defined for a labelling that claims it in no drawn case: equal labellings of the drawn cases
    must then not differ by it."""
    extents = {path: [(0, 60)] for path in PATHS}
    reference = write_annotations(tmp_path / "truth", dict.fromkeys(PATHS, TRUTH), extents)
    wrong = {**TRUTH, "ventilation": [(5, 25)]}
    never = {**wrong, "suction": []}
    always = write_annotations(tmp_path / "always", dict.fromkeys(PATHS, wrong), extents, source="always")
    once = {path: wrong if path == PATHS[0] else never for path in PATHS}
    seldom = write_annotations(tmp_path / "seldom", once, extents, source="seldom")
    config = CompareConfig(
        candidates=(always, seldom), reference=reference, output=str(tmp_path / "out"), metric="time precision"
    )
    macro = compare(config).differences[0].value
    assert macro.estimate == 0
    assert macro.low == -macro.high  # no case says other than the rest: how far one might is all that is known


def test_an_unknown_metric_is_refused_with_the_known_ones(tmp_path):
    labels, reference = archive(tmp_path)
    config = CompareConfig(
        candidates=(labels, reference), reference=reference, output=str(tmp_path / "out"), metric="beauty"
    )
    with pytest.raises(DataError, match="found metric 'beauty', expected one of: windows precision; "):
        compare(config)


def test_a_difference_is_paired(tmp_path):
    """Two labellings that err in the same windows differ by nothing in every case, however wide each interval is; a share of
    1 - 0.025^(1 / 8) of cases may lie elsewhere."""
    first, reference = archive(tmp_path, right=0.8, name="first", seed=1)
    second, _ = archive(tmp_path, right=0.8, name="second", seed=1)
    config = CompareConfig(candidates=(first, second), reference=reference, output=str(tmp_path / "out"))
    difference = compare(config).differences[0].value
    assert difference.estimate == 0
    assert difference.high == -difference.low == pytest.approx(1 - 0.025 ** (1 / 8))


def test_of_one_case_nothing_may_be_claimed(tmp_path):
    reference = write_annotations(tmp_path / "truth", {PATHS[0]: TRUTH}, {PATHS[0]: [(0, 60)]})
    candidates = tuple(
        write_labels(tmp_path / name, {PATHS[0]: scores_of(TRUTH, 60, right=right)}, source=name)
        for name, right in (("good", 1.0), ("bad", 0.6))
    )
    found = compare(CompareConfig(candidates=candidates, reference=reference, output=str(tmp_path / "out")))
    assert found.differences[0].value.estimate > 0
    assert found.differences[0].value.low is None
    assert "Nothing may be claimed of good and bad" in found.sentences[0]
