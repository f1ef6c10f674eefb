import json
import re

from tests.evaluate.archives import (
    TRUTH,
    evaluated,
    scores_of,
    write_annotations,
    write_labels,
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
