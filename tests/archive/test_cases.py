import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nrray.archive.cases import Cases, cases_csv, cases_table, read_cases
from nrray.errors import DataError
from nrray.types import Case

CASES = (
    Case(
        case_id="c1",
        video_path='a "quoted", name\nü.mp4',
        camera="head",
        video_start_us=0,
        site="north",
        instants={"birth": -30_000_000, "table_arrival": 1_500_000},
    ),
    Case(
        case_id="c1",
        video_path="b.mp4",
        camera="foot",
        video_start_us=2_000_000,
        site=None,
        instants={"birth": -30_000_000},
    ),
)


def written(tmp_path, text):
    path = tmp_path / "cases.csv"
    path.write_bytes(text.encode())
    return str(path)


@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_csv_gives_the_same_rows_back(tmp_path, bom):
    assert read_cases(written(tmp_path, bom + cases_csv(CASES))) == Cases(rows=CASES)


def test_parquet_gives_the_same_rows_back(tmp_path):
    path = tmp_path / "cases.parquet"
    pq.write_table(cases_table(CASES), path)
    assert read_cases(str(path)) == Cases(rows=CASES)


def test_a_parquet_sidecar_is_known_by_its_suffix_and_its_times_are_whole_microseconds(tmp_path):
    path = tmp_path / "CASES.PARQUET"
    columns = {"case_id": ["c1", "c2"], "video_path": ["a", "b"]}
    pq.write_table(pa.table({**columns, "birth_us": [1.0, None]}), path)
    assert [case.instants for case in read_cases(str(path)).rows] == [{"birth": 1}, {}]
    for wrong in ([1.0, 2.5], [True, None]):
        pq.write_table(pa.table({**columns, "birth_us": wrong}), path)
        with pytest.raises(DataError, match=r"birth_us is [^;]+; expected whole microseconds"):
            read_cases(str(path))


def test_only_case_and_video_are_required(tmp_path):
    (case,) = read_cases(written(tmp_path, "case_id,video_path\nc7,x.mp4\n")).rows
    assert (case.camera, case.video_start_us, case.instants, case.site) == ("", 0, {}, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("case_id,path\nc1,a.mp4\n", "line 2: no video_path; columns found: case_id, path"),
        ("case_id,video_path\nc1,a.mp4\n,b.mp4\n", "line 3: no case_id"),
        ("case_id,video_path,birth_us\nc1,a.mp4,1.5\n", "line 2: birth_us is '1.5'; expected whole microseconds"),
        ("case_id,video_path\nc1,a.mp4\nc2,a.mp4\n", "line 3: 'a.mp4' is also on line 2"),
        ("case_id,video_path\n\n\nc1,\n", "line 4: no video_path"),
    ],
)
def test_an_error_is_named_with_its_line(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_cases(written(tmp_path, text))


def test_a_missing_or_unreadable_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="not found"):
        read_cases(str(tmp_path / "none.csv"))
    with pytest.raises(DataError, match="cannot be read"):
        read_cases(str(tmp_path))
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1")
    with pytest.raises(DataError, match="not a readable Parquet table"):
        read_cases(str(broken))
    latin = tmp_path / "latin.csv"
    latin.write_bytes(b"case_id,video_path\nc1,\xfc.mp4\n")
    with pytest.raises(DataError, match="UTF-8"):
        read_cases(str(latin))


def test_an_empty_sidecar_has_no_rows(tmp_path):
    assert read_cases(written(tmp_path, "case_id,video_path\n")) == Cases()


def test_any_column_of_microseconds_is_an_instant_of_its_name(tmp_path):
    text = "case_id,video_path,incision_us,closing_us,surgeon\nc1,a.mp4,5000000,,S\nc2,b.mp4,0,7,\n"
    rows = read_cases(written(tmp_path, text)).rows
    assert [row.instants for row in rows] == [{"incision": 5_000_000}, {"incision": 0, "closing": 7}]


def test_a_video_without_a_row_is_a_case_of_its_own():
    cases = Cases(rows=CASES)
    assert cases.case_of("b.mp4") == "c1"
    assert cases.case_of("other.mp4") == "other.mp4"
    assert cases.case_ids(["other.mp4", CASES[0].video_path, "b.mp4"]) == ["other.mp4", "c1", "c1"]


def test_without_a_sidecar_every_video_is_a_case():
    assert read_cases(None).case_of("a.mp4") == "a.mp4"


def test_the_rows_of_a_case_come_by_rising_path():
    assert Cases(rows=CASES[::-1]).rows_by_case() == {"c1": list(CASES)}
