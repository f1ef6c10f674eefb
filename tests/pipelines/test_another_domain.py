"""Another domain from init to report: its own activities, phases, indicators, instants and CSV, and no word of the shipped label
set's domain in anything that is printed or written."""

import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from nrray.cli.app import app
from nrray.evaluate.document import read_evaluation
from nrray.labels import read_label_set
from nrray.pipelines.on_ray.session import ray_session
from tests.checkpoints import CHECKPOINTS
from tests.pipelines.support import words
from tests.videos import write_video

OTHER_DOMAIN = re.compile(
    r"newborn|neonat|infant|bab(y|ies)|ventilat|suction|resuscit|stimulat|birth|\bmask|table.arrival|umbilical",
    re.IGNORECASE,
)
LABELS = """
name: kitchen
activities:
  - {name: chopping, question: "Is something being cut?", definition: A knife goes through food, ends: The knife is put down}
  - {name: frying, question: "Is food in a hot pan?"}
  - {name: serving, question: "Is food put on a plate?", positive_coverage: 1.0}
rules:
  exclusive: [[chopping, frying, serving]]
clock:
  zero: [order]
indicators:
  - {kind: time_to_first, activity: serving, name: waiting time}
  - {kind: before_first, activity: chopping, other: frying}
  - {kind: episodes, activity: serving}
"""
CASES = """case_id,video_path,kitchen,order_us
dish-1,one.mp4,north,-2000000
dish-2,two.mp4,north,
dish-3,three.mp4,south,1000000
"""
CHEF = """film;what;from;to
one.mp4;chopping;0.5;3
one.mp4;frying;3;7
one.mp4;serving;7;9
two.mp4;chopping;1;4
two.mp4;frying;5;9
three.mp4;frying;2;5
"""
COOK = CHEF.replace("0.5;3", "1;3").replace("7;9", "7.5;9").replace("two.mp4;frying", "two.mp4;chopping")


@pytest.fixture(scope="module", autouse=True)
def _ray():
    with ray_session():
        yield


def nrray(*words: str) -> str:
    """What a command line prints."""
    result = CliRunner().invoke(app, list(words))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code in (0, 3), result.output  # 3: a random model answers neither yes nor no
    return result.output


def import_words(name: str, text: str, *, activities: str) -> list[str]:
    Path(f"{name}.csv").write_text(text)
    return words(
        files=f"[{name}.csv]",
        columns="{video: film, activity: what, start: from, end: to}",
        time_unit="s",
        extent="whole",
        source=name,
        activities=activities,
        output=name,
    )


def texts(folder: Path) -> dict[str, str]:
    """The readable content of every file below a folder, its name first; of a table columns and values."""
    found = {}
    for file in (path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".mp4", ".png")):
        if file.suffix == ".parquet":
            table = pq.read_table(file)
            found[str(file)] = f"{file.name} {table.schema} {json.dumps(_plain(table), default=str)}"
        else:
            found[str(file)] = f"{file.name} {file.read_text(encoding='utf-8')}"
    return found


def _plain(table: pa.Table) -> list[object]:
    return table.select([name for name in table.column_names if not name.endswith("_us")]).to_pylist()


def test_another_domain_goes_from_init_to_report_without_a_word_of_ours(tmp_path, monkeypatch):
    folder = tmp_path / "kitchen"
    (folder / "films").mkdir(parents=True)
    monkeypatch.chdir(folder)
    for name in ("one", "two", "three"):
        write_video(folder / "films" / f"{name}.mp4", fps=12.5, num_frames=125)
    (folder / "kitchen.yaml").write_text(LABELS)
    (folder / "cases.csv").write_text(CASES)
    model = CHECKPOINTS["fast_vlm"](tmp_path / "model", read_label_set(folder / "kitchen.yaml"))
    relabel = words(
        model__path=model,
        sampling="{frames_per_second: 2, window_seconds: 2, stride_seconds: 1, frame_width_px: 64, frame_height_px: 64}",
        pools="{decoders: 1, labelers: 1, stall_timeout_seconds: 200}",
        max_unparsed_share=1.0,  # random weights answer nonsense
        output="labels",
    )
    printed = "\n".join(
        nrray(*line)
        for line in (
            ["init", "films", "--cases", "cases.csv", "--label-set", "kitchen.yaml"],
            ["scan"],
            ["import", *import_words("chef", CHEF, activities="[chopping, frying, serving]")],
            ["import", *import_words("cook", COOK, activities="[chopping]")],
            ["relabel", *relabel],
            ["status", "labels"],
            *(
                ["evaluate", *words(candidate=name, reference="chef", output=f"{name}-evaluation")]
                for name in ("labels", "cook")
            ),
        )
    )

    prompts = json.loads((folder / "labels/latest/run.json").read_text())["identity"]["strategy"]["prompts"]
    assert prompts["chopping"].startswith(
        "A knife goes through food. It ends: The knife is put down. Is something being cut?"
    )
    assert prompts["frying"].startswith("Is food in a hot pan?")

    by_model = read_evaluation(str(folder / "labels-evaluation"))
    by_cook = read_evaluation(str(folder / "cook-evaluation"))
    assert by_model.num_cases == by_cook.num_cases == 3
    assert [row.name for row in by_cook.clinical.reference] == [
        "waiting time",
        "chopping before first frying",
        "serving episodes",
    ]
    of_chef = by_cook.clinical.cases.reference
    assert {case: values["waiting time"].value for case, values in of_chef.items()} == {
        "dish-1": 9,
        "dish-2": None,
        "dish-3": None,
    }
    assert of_chef["dish-2"]["serving episodes"].value == 0
    assert by_cook.clinical.zeros.reference == {"order": 2, "start of the recording": 1}

    for name, text in {**texts(folder), "printed": printed}.items():
        if found := OTHER_DOMAIN.search(text):
            raise AssertionError(f"{name}: ...{text[max(found.start() - 200, 0) : found.end() + 100]}...")
    assert {path.name for path in folder.rglob("*.html")} >= {"report.html"}


@pytest.mark.parametrize("verb", sorted(set(get_command(app).commands) - {"simulate", "demo", "bench"}))
def test_the_help_of_a_verb_speaks_of_no_domain(verb):
    assert OTHER_DOMAIN.search(nrray(verb, "--help")) is None


def test_the_help_of_the_program_names_a_domain_where_it_simulates_one_alone():
    lines = [line for line in nrray("--help").splitlines() if OTHER_DOMAIN.search(line)]
    assert all("simulated" in line for line in lines)
