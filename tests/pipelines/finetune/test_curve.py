"""`nrray finetune --curve`: nested subsets, what is refused and claimed, and trainings on Ray that go on after a kill."""

import json
import shutil
import signal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from nrray.console.reporter import Reporter
from nrray.errors import ConfigError, DataError
from nrray.evaluate.differences import Difference
from nrray.labels import Activity, LabelSet
from nrray.metrics.jackknife import Value
from nrray.pipelines.finetune.curve.claims import claims
from nrray.pipelines.finetune.curve.document import (
    Chance,
    CurveDocument,
    CurvePoint,
    CurveScores,
    read_curve,
    write_curve,
)
from nrray.pipelines.finetune.curve.report import Curve, case_curves, report_curve
from nrray.pipelines.finetune.curve.run import run_curve
from nrray.pipelines.finetune.curve.subsets import nested_subsets, shown_activities, sizes_of
from nrray.storage import Folder
from nrray.train.examples import Examples
from nrray.train.output import finished_model_folder
from tests.pipelines.support import nrray, one_ray, started, wait_until, words
from tests.pipelines.training_support import config_of, losses, settings, starts

LABEL_SET = LabelSet(
    name="set",
    activities=tuple(
        Activity(name=name, definition="d", starts="s", ends="e", question="q?") for name in ("a", "b", "c", "d")
    ),
)


def shown(**cases):
    """Case to columns, of words such as "abd"."""
    return {case: frozenset("abcd".index(letter) for letter in letters) for case, letters in cases.items()}


@pytest.mark.parametrize(("text", "sizes"), [("1,2,4", (1, 2, 4)), (" 3, 30 ", (3, 30))])
def test_sizes_are_growing_numbers(text, sizes):
    assert sizes_of(text) == sizes


@pytest.mark.parametrize("text", ["", "4", "1,x", "0,2", "-1,2", "2,2", "1,4,3", "1,2,", "1.5,2"])
def test_other_sizes_are_refused(text):
    with pytest.raises(ConfigError, match=r"--curve: found .*, expected"):
        sizes_of(text)


def test_a_case_shows_the_activities_of_its_windows():
    examples = Examples(
        chunk=np.zeros(3, np.int64),
        start=np.arange(3),
        targets=np.array([[True, False], [False, False], [True, True]]),
        cases=np.array([0, 2, 2]),
    )
    assert shown_activities(examples, ["x", "y", "z"]) == {"x": frozenset({0}), "z": frozenset({0, 1})}


def test_every_subset_shows_every_activity_and_holds_the_one_before():
    cases = shown(p="ab", q="cd", r="bc", s="bc", t="b", u="c", v="", w="bc")
    orders = set()
    for seed in range(20):
        subsets = nested_subsets(cases, (2, 3, 8), LABEL_SET, seed=seed)
        assert [len(set(subset)) for subset in subsets] == [2, 3, 8]
        assert all(larger[: len(smaller)] == smaller for smaller, larger in pairwise(subsets))
        assert set(subsets[0]) == {"p", "q"}  # no other two do
        orders.add(subsets[-1])
    assert len(orders) > 5
    assert nested_subsets(cases, (2, 4), LABEL_SET, seed=3) == nested_subsets(cases, (2, 4), LABEL_SET, seed=3)


def test_the_subsets_of_a_size_are_the_same_whatever_other_sizes_are_asked_for():
    cases = shown(**{f"case{number}": "abcd" for number in range(9)})
    assert nested_subsets(cases, (1, 4, 9), LABEL_SET, seed=1)[1] == nested_subsets(cases, (2, 4), LABEL_SET, seed=1)[1]


@pytest.mark.parametrize(
    ("cases", "sizes", "message"),
    [
        (shown(p="abcd", q="a"), (1, 4), r"found 4 cases, but the train part has 2 .* Give sizes up to 2"),
        (
            shown(p="ab", q="cd", r="a"),
            (1, 2),
            r"no 1 case .* \([pq]: no window of ([ab], [ab]|[cd], [cd])\); 2 cases do",
        ),
    ],
)
def test_sizes_that_nothing_can_be_learned_from_are_refused_by_name(cases, sizes, message):
    with pytest.raises(DataError, match=message):
        nested_subsets(cases, sizes, LABEL_SET, seed=0)


def difference(scope, estimate, low=None, high=None):
    value = Value(estimate=estimate, low=low, high=high)
    return Difference(first="16 cases", second="8 cases", scope=scope, value=value, num_adjusted_for=1)


@pytest.mark.parametrize(
    ("macro", "sentence"),
    [
        (difference("macro", 0.06, 0.02, 0.11), "rose by 0.06 (0.02 to 0.11): more cases help."),
        (
            difference("macro", 0.01, -0.03, 0.05),
            "rose by 0.01 (-0.03 to 0.05): 16 cases do not show that more would help.",
        ),
        (
            difference("macro", -0.01, -0.05, 0.03),
            "fell by 0.01 (-0.03 to 0.05): 16 cases do not show that more would help.",
        ),
        (difference("macro", -0.2, -0.3, -0.1), "fell by 0.20 (0.10 to 0.30): more cases like these do not help."),
        (difference("macro", 0.1), "rose by 0.10; the test cases give no interval: nothing may be claimed."),
        (difference("macro", None), "is not defined in these test cases: nothing may be claimed."),
    ],
)
def test_the_answer_is_in_the_interval(macro, sentence):
    assert claims([macro], smaller=8, larger=16) == (f"From 8 to 16 cases macro F1 {sentence}",)


def test_activities_that_still_rise_are_named_apart():
    found = claims(
        [
            difference("macro", 0.0, -0.1, 0.1),
            difference("a", 0.12, 0.03, 0.22),
            difference("b", 0.01, -0.02, 0.03),
            difference("c", None),
            difference("d", -0.1, -0.2, -0.05),
        ],
        smaller=8,
        larger=16,
    )
    assert found[1:] == (
        "Still rising: a rose by 0.12 (0.03 to 0.22).",
        "Not shown to be rising: b rose by 0.01 (-0.02 to 0.03), c is not defined, d fell by 0.10 (0.05 to 0.20).",
    )


@pytest.fixture(scope="module")
def _ray():
    with one_ray():
        yield


def curve_settings(archive, folder, **changes):
    """In a folder of its own, its split too: reads of the test part are counted beside it."""
    folder.mkdir(exist_ok=True)
    if not (folder / "split.json").exists():
        shutil.copy(archive / "split.json", folder)
    places = {"split": folder / "split.json", "store__folder": folder / "frames"}
    return settings(archive, folder / "out", **{**places, "training__num_steps": 8, **changes})


@pytest.mark.usefixtures("_ray")
def test_a_curve_extracts_frames_once_and_goes_on_to_the_same_document(annotated_archive, tmp_path, capsys):
    config, output = config_of(curve_settings(annotated_archive, tmp_path)), tmp_path / "out"
    document = run_curve(config, (1, 2), Reporter()).document
    said = capsys.readouterr().out
    assert said.count("extracting the frames of") == 1
    assert [len(point.cases) for point in document.points] == [1, 2]
    assert document.points[0].num_windows < document.points[1].num_windows
    assert document.points[1].cases[:1] == document.points[0].cases
    assert document.untuned is None  # the embedded model's head is of other activities
    assert document.sentences[0].startswith("From 1 to 2 cases macro F1 ")
    assert (output / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert num_reads(tmp_path) == 3  # each model, and both against each other
    assert read_curve(Folder(str(output))) == document

    assert run_curve(config, (1, 2), Reporter()).document == document
    assert "all trainings of this curve are finished: nothing was trained" in capsys.readouterr().out
    assert num_reads(tmp_path) == 3

    first, second = output / "curve/cases-001", output / "curve/cases-002"
    before, frames = (first / "history.jsonl").read_bytes(), modified(tmp_path / "frames")
    as_a_kill_leaves_it(second)
    for name in ("curve.json", "curve.png"):
        (output / name).unlink()
    resumed = run_curve(config, (1, 2), Reporter()).document
    assert resumed.model_copy(update={"notes": document.notes}) == document
    assert "has been read 5 times" in " ".join(resumed.notes)
    assert "extracting" not in capsys.readouterr().out
    assert modified(tmp_path / "frames") == frames
    assert (first / "history.jsonl").read_bytes() == before
    assert [step > 0 for step, _ in starts(second)] == [False, True]


def num_reads(folder):
    """Of the test part."""
    return len((folder / "split.json.reads.jsonl").read_text().splitlines())


def modified(folder):
    return {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}


def as_a_kill_leaves_it(training):
    """The output of a training that was killed before its last checkpoint."""
    for folder in (finished_model_folder(training), training / "test"):
        shutil.rmtree(folder)
    sorted((training / "checkpoints").iterdir())[-1].unlink()


def is_under_way(output: Path) -> bool:
    """Whether a training has a state after its first step."""
    return any(name > "step-00000000.safetensors" for name in Folder(str(output / "checkpoints")).names(".safetensors"))


@pytest.mark.harsh
@pytest.mark.usefixtures("_ray")
def test_a_curve_that_is_killed_trains_nothing_twice(annotated_archive, tmp_path):
    undisturbed = nrray("finetune", "--curve", "1,2", *words(**curve_settings(annotated_archive, tmp_path / "a")))
    assert undisturbed.returncode == 0, undisturbed.stderr
    expected = read_curve(Folder(str(tmp_path / "a/out")))
    command = ["finetune", "--curve", "1,2", *words(**curve_settings(annotated_archive, tmp_path / "b"))]
    output, log = tmp_path / "b/out", tmp_path / "log"
    second = output / "curve/cases-002"
    with started(*command, log=log) as process:
        wait_until(
            lambda: is_under_way(second) or process.poll() is not None,
            timeout_seconds=400,
            what="a checkpoint of the second training after a step",
        )
        assert process.poll() is None, log.read_text()
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=60)
    before = (output / "curve/cases-001/history.jsonl").read_bytes()
    resumed = nrray(*command)
    assert resumed.returncode == 0, resumed.stderr
    assert "extracting" not in resumed.stdout
    assert (output / "curve/cases-001/history.jsonl").read_bytes() == before
    assert [step > 0 for step, _ in starts(second)] == [False, True]
    assert losses(second) == losses(tmp_path / "a/out/curve/cases-002")
    found = read_curve(Folder(str(output)))
    assert found.model_copy(update={"notes": expected.notes}) == expected
    again = nrray(*command, "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["curve"] == found.model_dump(mode="json", by_alias=True)
    other = nrray(*command, "--set", "adapter.rank=3")
    assert other.returncode == 1
    assert "holds a training with other settings" in other.stderr


@pytest.mark.parametrize(
    ("sizes", "parts", "message"),
    [
        ("1,3", {}, "found 3 cases, but the train part has 2 with windows to train on"),
        ("2,1", {}, "expected two or more numbers of cases, each above the one before"),
        ("1,2", {"test": []}, "the test part of split"),
        ("1,2", {"test": ["nobody"]}, "cases of part 'test' are of no video here, such as 'nobody'"),
    ],
)
def test_a_curve_that_cannot_be_is_refused_before_anything_is_written(
    sizes, parts, message, annotated_archive, tmp_path
):
    values = curve_settings(annotated_archive, tmp_path / "a")
    split = json.loads((tmp_path / "a/split.json").read_text())
    (tmp_path / "a/split.json").write_text(json.dumps({"parts": {**split["parts"], **parts}}))
    with pytest.raises((ConfigError, DataError), match=message):
        run_curve(config_of(values), sizes_of(sizes), Reporter(is_json=True))
    assert not (tmp_path / "a/out").exists()


def test_a_dry_run_says_which_cases_each_training_has(annotated_archive, tmp_path, capsys):
    config = config_of(curve_settings(annotated_archive, tmp_path / "a"))
    result = run_curve(config, (1, 2), Reporter(), dry_run=True)
    report_curve(result, config, Reporter())
    said = capsys.readouterr().out
    assert "Windows to train on, and those that show each activity" in said
    assert "nothing was decoded" in said
    assert not (tmp_path / "a/out").exists()


def made_document():
    def point(cases, macro, a):
        return CurvePoint(
            macro_f1=macro,
            f1={"a": a},
            cases=cases,
            num_windows=10 * len(cases),
            steps=8,
            best_step=4,
            validation_macro_f1=Value(estimate=0.45, low=0.35, high=0.55) if len(cases) > 1 else None,
        )

    untuned = Value(estimate=0.3, low=0.2, high=0.4)
    return CurveDocument(
        schema_version=1,
        num_test_cases=3,
        untuned=CurveScores(macro_f1=untuned, f1={"a": untuned}),
        points=(
            point(("x",), Value(estimate=0.4, low=0.3, high=0.5), Value(estimate=None, low=None, high=None)),
            point(("x", "y"), Value(estimate=0.5, low=0.4, high=0.6), Value(estimate=0.7, low=None, high=None)),
        ),
        always_yes=Chance(macro_f1=0.2, f1={"a": None}),
        differences=(difference("macro", 0.1, 0.0, 0.2),),
        sentences=("a sentence",),
        notes=(),
    )


def test_the_untuned_model_is_drawn_and_printed_beside_the_trained_ones(tmp_path, capsys):
    folder = Folder(str(tmp_path))
    write_curve(folder, made_document())
    document = read_curve(folder)
    assert document == made_document()
    macro, a = case_curves(document)
    assert (macro.untuned, macro.chance, [score.num_cases for score in macro.scores]) == (0.3, 0.2, [1, 2])
    assert [score.estimate for score in a.scores] == [0.7]  # not defined with one case
    config = config_of({"manifest": "m", "annotations": "a", "split": "s", "output": str(tmp_path)})
    report_curve(Curve(output="out", trained_model=tmp_path / "adapter", document=document), config, Reporter())
    said = " ".join(capsys.readouterr().out.split())
    assert "untuned - - - 0.30 (0.20-0.40) 0.30 (0.20-0.40)" in said
    assert "2 20 8 0.45 (0.35-0.55) 0.50 (0.40-0.60) 0.70 (-)" in said
    assert "always yes - - - 0.20 -" in said
    assert "a sentence" in said
