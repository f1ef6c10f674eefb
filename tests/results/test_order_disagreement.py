"""How often the order of options decides: read from the answers of a version."""

from nrray.results.coverage_table import COVERAGE_SCHEMA
from nrray.results.publish import VersionTables, likeliest_by_order, write_version
from nrray.results.version_tables import LABEL_SCHEMA, SEGMENT_SCHEMA
from nrray.storage import Folder
from nrray.tables import table_from_rows
from nrray.types import Answer
from tests.made_versions import provenance


def answer(start_us, question, text, state=None):
    span = {"video_id": "v", "path": "v.mp4", "start_us": start_us, "end_us": start_us + 1}
    return Answer(**span, question=question, answer=text, state=state, num_tokens=0, seconds=0.0, source="m")


ANSWERS = [
    answer(0, "order 1", "a + b 0.6; none of them 0.2"),
    answer(0, "order 2", "a + b 0.5; none of them 0.4"),
    answer(1, "order 1", "a + b 0.6; none of them 0.2"),
    answer(1, "order 2", "none of them 0.5; a + b 0.4"),
    answer(2, "order 1", "none of them 0.1; a + b 0.1", state="unparsed"),
    answer(2, "order 2", "a + b 0.9; none of them 0.0"),
    answer(3, "ventilation", "yes"),
    answer(3, "suction", "no"),
]


def test_orders_of_a_window_are_compared_by_what_is_likeliest_where_both_could_be_read():
    assert likeliest_by_order(table_from_rows(ANSWERS, Answer)) == [["a + b", "a + b"], ["a + b", "none of them"]]


def written(tmp_path, answers):
    tables = VersionTables(
        labels=LABEL_SCHEMA.empty_table(),
        segments=SEGMENT_SCHEMA.empty_table(),
        coverage=COVERAGE_SCHEMA.empty_table(),
        answers=table_from_rows(answers, Answer),
    )
    return write_version(Folder(str(tmp_path)), provenance(), [tables]).record


def test_the_share_of_windows_whose_orders_disagree_is_in_the_record(tmp_path):
    assert written(tmp_path, ANSWERS).order_disagreement == 0.5
    assert written(tmp_path, ANSWERS[-2:]).order_disagreement is None
