import pytest

from nrray.errors import DataError
from nrray.results.figures import LastRun, RunFigures, RunProgress, read_progress, write_progress
from nrray.storage import Folder

HALF = {
    "units_done": 3,
    "units_total": 7,
    "elapsed_seconds": 8.1,
    "video_hours_per_hour": 19.66,
    "eta_seconds": None,
    "failures": {"no_frames": 1},
}
WHOLE = {**HALF, "wall_seconds": 16.13, "pools": "2 decoders", "capacity": "2 CPUs"}


@pytest.fixture
def output(tmp_path):
    return Folder(str(tmp_path))


@pytest.mark.parametrize("progress", [RunProgress(**HALF), RunFigures(**WHOLE)])
def test_progress_comes_back_as_it_was_written(output, progress):
    assert read_progress(output) is None
    write_progress(output, LastRun(run_id="r", progress=progress))
    assert read_progress(output) == LastRun(run_id="r", progress=progress)


@pytest.mark.parametrize("figures", [HALF, WHOLE])
def test_the_file_holds_the_figures_and_the_run_and_no_more(output, figures):
    """As the release before wrote and read it."""
    output.write_json("progress.json", {**figures, "run_id": "r"})
    assert read_progress(output).document() == output.read_json("progress.json")


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({**HALF, "units_done": None, "run_id": "r"}, "has units_done: found nothing, expected a whole number"),
        ({"run_id": "r"}, "lacks units_done, units_total"),
        ({**WHOLE, "pools": 3, "run_id": "r"}, "has pools: found 3"),
        (HALF, "lacks run_id"),
        ([], "holds a list"),
    ],
)
def test_a_damaged_file_is_named(output, document, said):
    output.write_json("progress.json", document)
    with pytest.raises(DataError, match=rf"progress\.json of .* {said}"):
        read_progress(output)
