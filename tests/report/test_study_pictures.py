"""Pictures of a study: drawn whatever is missing in its figures, and told apart without colour."""

import matplotlib.image

from nrray.report.study_pictures import (
    LINES,
    MARKERS,
    MAX_LINES,
    F1Panel,
    ReliabilityPanel,
    RowF1,
    f1_picture,
    reliability_picture,
)

ROWS = {"fine-tuned $x$": RowF1(0.8, 0.7, 0.9), "asked": RowF1(0.4, None, None), "judged": None}


def size_of(picture, folder):
    file = folder / "picture.png"
    file.write_bytes(picture)
    return matplotlib.image.imread(file).shape[:2]


def test_f1_is_drawn_of_rows_without_an_interval_and_without_any_f1(tmp_path):
    panels = [
        F1Panel(name="macro", rows=ROWS, chance=0.3),
        F1Panel(name="suction", rows=dict.fromkeys(ROWS), chance=None),
    ]
    height, width = size_of(f1_picture(panels, title="F1"), tmp_path)
    assert (height, width) == (270, 836)
    other = [F1Panel(name="macro", rows={**ROWS, "judged": RowF1(0.1, 0.0, 0.2)}, chance=0.3), panels[1]]
    assert f1_picture(other, title="F1") != f1_picture(panels, title="F1")


def test_a_row_more_makes_the_picture_higher_not_its_lines_closer(tmp_path):
    few = size_of(f1_picture([F1Panel(name="macro", rows=ROWS, chance=None)], title="F1"), tmp_path)
    many = {f"row {number}": RowF1(0.5, 0.4, 0.6) for number in range(20)}
    assert size_of(f1_picture([F1Panel(name="macro", rows=many, chance=None)], title="F1"), tmp_path)[0] > few[0] + 500


def test_reliability_is_drawn_of_rows_with_few_bins_or_none(tmp_path):
    panels = [
        ReliabilityPanel(name="suction", rows={"a": [(0.1, 0.0), (0.9, 0.8)], "b": [(0.5, 0.5)]}),
        ReliabilityPanel(name="ventilation", rows={"a": [], "b": []}),
    ]
    assert size_of(reliability_picture(panels, title="Reliability"), tmp_path) == (506, 748)


def test_lines_differ_by_marker_and_of_too_many_the_first_are_drawn():
    assert len(set(MARKERS)) == MAX_LINES
    assert len(LINES) > 1
    drawn = {f"row {number}": [(0.2, 0.2), (0.8, 0.8 - number / 100)] for number in range(MAX_LINES)}
    more = {**drawn, "one more": [(0.0, 1.0), (1.0, 0.0)]}
    pictures = [
        reliability_picture([ReliabilityPanel(name="suction", rows=rows)], title="Reliability")
        for rows in (drawn, more)
    ]
    assert pictures[0] == pictures[1]
