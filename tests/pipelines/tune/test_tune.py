"""`nrray tune`: trials that are pruned, killed and gone on with; a finished search is read again; nothing is held at the end."""

import re
import signal

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import ray
import yaml
from ray.util.state import list_actors, list_placement_groups

from nrray.archive.annotations import read_annotations, write_annotations
from nrray.console.reporter import Reporter
from nrray.errors import ConfigError
from nrray.models.resolved import ResolvedCheckpoint
from nrray.pipelines.finetune.job import planned_job, resolved_finetune
from nrray.pipelines.search_sections import Range
from nrray.pipelines.tune.effects import effective_values
from nrray.pipelines.tune.job import TuneConfig, resolved_space
from nrray.pipelines.tune.record import SearchRecord
from nrray.pipelines.tune.report import report_tune
from nrray.pipelines.tune.run import run_tune
from nrray.pipelines.tune.trials import TrialStatus, read_trials
from nrray.storage import Folder
from nrray.tables import rows_from_table
from nrray.train.start import resolved_parts
from nrray.train.training_config import TimesformerSection
from nrray.types import Extent, Origin, Segment
from tests.pipelines.support import nrray, started, wait_until, words
from tests.pipelines.training_support import settings, starts, tune_config_of

SPACE = {
    "space__rank": "[2, 4]",
    "space__learning_rate": "{low: 1.0e-7, high: 1.0e-1, scale: log}",
    "search__num_trials": 4,
    "search__seed": 2110,  # two rates that learn, then two that learn nothing: those are pruned
    "search__reduction_factor": 2,
    "training__num_steps": 12,
}
QUIET = Reporter(is_json=True)
RAYS_OWN = {"_StatsActor", "_AutoscalingCoordinatorActor", "ActorLocationTracker"}  # of Ray Data; they take nothing


@pytest.fixture(scope="module")
def archive(annotated_archive):
    """Somebody says that the newborn is seen in the first half of each video: trials differ in how they take that."""
    folder = annotated_archive
    annotations = read_annotations(str(folder / "sim/truth"))
    extents = rows_from_table(annotations.extents, Extent)
    segments = [
        Segment(
            path=extent.path,
            activity="baby_visible",
            start_us=extent.start_us,
            end_us=(extent.start_us + extent.end_us) // 2,
            source=extent.source,
            origin=Origin.HUMAN,
        )
        for extent in extents
    ]
    write_annotations(Folder(str(folder / "halves")), segments, extents)
    return folder


def search_settings(archive, output, **changes):
    places = {"annotations": archive / "halves", "store__folder": archive / "frames-of-halves"}
    return settings(archive, output, **{**places, **SPACE, **changes})


@pytest.mark.harsh
def test_a_search_leaves_the_best_and_holds_nothing(archive, tmp_path, capsys):
    output = tmp_path / "out"
    config = tune_config_of(search_settings(archive, output))
    ray.init(num_cpus=2, include_dashboard=True, log_to_driver=False, object_store_memory=200 * 2**20)
    try:
        result = run_tune(config, QUIET)
        try:
            wait_until(lambda: not held(), timeout_seconds=60, what="everything to be free")
        except AssertionError:
            raise AssertionError(f"still held: {held()}") from None
    finally:
        ray.shutdown()
    assert len(result.trials) == 5  # the config's own values are one
    assert {trial.status for trial in result.trials} <= {TrialStatus.FINISHED, TrialStatus.STOPPED_EARLY}
    assert sum(trial.status is TrialStatus.STOPPED_EARLY for trial in result.trials) >= 1
    assert all(trial.steps < trial.num_steps for trial in result.trials if trial.status is TrialStatus.STOPPED_EARLY)
    assert result.best is not None
    assert result.best.macro_f1 == max(t.macro_f1 for t in result.trials if t.status is TrialStatus.FINISHED)
    assert result.test is not None
    assert 0 <= result.test.estimate <= 1
    table = pq.read_table(output / "trials.parquet")
    assert table.num_rows == 5
    drawn = table.filter(pc.not_equal(table["trial"], "default"))
    assert {2, 4} >= set(drawn["adapter.rank"].to_pylist())
    assert len(set(drawn["training.learning_rate"].to_pylist())) == 4
    (default,) = (trial for trial in result.trials if trial.name == "default")
    assert (default.status, default.values) == (TrialStatus.FINISHED, {})
    assert result.gain is not None
    assert default is not result.best or result.gain.estimate == 0
    assert (output / "search.png").stat().st_size > 10_000
    assert (output / "best/adapter/nrray.json").is_file()
    assert not (output / ".ray-tune").exists()
    report_tune(result, config, Reporter())
    said = capsys.readouterr().out
    assert "Pruning saved" in said
    assert f"Next: nrray relabel --set manifest={config.manifest}" in said
    again = nrray("finetune", str(output / "best.yaml"), "--dry-run")
    assert again.returncode == 0, again.stderr
    best = yaml.safe_load((output / "best.yaml").read_text())
    rate = result.best.values.get("training.learning_rate")  # none of the config's own values
    assert best["training"].get("learning_rate") == rate


@pytest.mark.harsh
def test_a_trial_that_fails_is_tried_again_then_reported_and_the_others_finish(archive, tmp_path, capsys):
    output = tmp_path / "out"
    changes = {"space__learning_rate": "[1.0e-4, 1.0e+30]", "search__searcher": "optuna", "search__num_trials": 3}
    config = tune_config_of(search_settings(archive, output, search__seed=0, **changes))
    result = run_tune(config, QUIET)
    assert len(result.trials) == 4
    failed = [trial for trial in result.trials if trial.status is TrialStatus.FAILED]
    assert {trial.values["training.learning_rate"] for trial in failed} == {1.0e30}
    others = [trial for trial in result.trials if trial not in failed and trial.name != "default"]
    assert all(trial.values["training.learning_rate"] == 1.0e-4 for trial in others)
    assert [len(starts(output / "trials" / trial.name)) for trial in failed] == [2] * len(failed)
    assert result.best is not None
    assert result.best.status is TrialStatus.FINISHED
    report_tune(result, config, Reporter())
    said = " ".join(capsys.readouterr().out.split())
    assert re.search(rf"{failed[0].name} failed: TrainingError: the (loss|gradient) of step \d+ is no number", said)
    assert "WARNING" not in said  # of Ray's, about how many processes a search takes


@pytest.mark.harsh
def test_ctrl_c_and_a_budget_keep_what_was_found(archive, tmp_path):
    output, log = tmp_path / "out", tmp_path / "log"
    command = ["tune", *words(**search_settings(archive, output, search__grace_percent=100))]
    trials = output / "trials"
    with started(*command, log=log) as process:
        wait_until(
            lambda: any(t.status is TrialStatus.FINISHED for t in read_trials(trials)) or process.poll() is not None,
            timeout_seconds=400,
            what="a finished trial",
        )
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130, log.read_text()
    found = pq.read_table(output / "trials.parquet")
    assert "finished" in found["status"].to_pylist()
    assert (output / "search.png").stat().st_size > 10_000
    ended = nrray(*command, "--budget-minutes", "0.1")  # over before a trial can be: they are asked to end
    assert ended.returncode == 0, ended.stderr
    after = read_trials(trials)
    assert all(trial.status is not TrialStatus.UNFINISHED for trial in after)
    assert any(trial.status is TrialStatus.FINISHED for trial in after)
    assert "Best: " in ended.stdout


def test_a_search_is_the_same_before_and_after_its_looks_are_measured(archive, tmp_path):
    config = tune_config_of(search_settings(archive, tmp_path / "out"))
    jobs = []
    for distance in (0.5, 2.0):  # the tower of the first stays as it is, of the second it learns
        job = resolved_finetune(config.finetune_config()).job
        jobs.append(planned_job(job, config, job.facts.model_copy(update={"looks_distance": distance})))
    one, other = (SearchRecord.of(config, job, {}) for job in jobs)
    assert jobs[0].identity() != jobs[1].identity()
    assert one == other
    slower = config.model_copy(update={"training": config.training.model_copy(update={"learning_rate": 1.0e-6})})
    assert SearchRecord.of(slower, jobs[0], {}) != one


def held():
    """CPUs and memory that are not free, placement groups and actors that live."""
    there, free = ray.cluster_resources(), ray.available_resources()
    taken = {name: (free.get(name), there[name]) for name in ("CPU", "memory") if free.get(name) != there[name]}
    address = ray.get_runtime_context().gcs_address
    groups = [group.placement_group_id for group in list_placement_groups(address) if group.state != "REMOVED"]
    actors = [actor.class_name for actor in list_actors(address) if actor.state != "DEAD"]
    return [taken, groups, actors] if taken or groups or set(actors) - RAYS_OWN else []


@pytest.mark.slow
def test_a_search_whose_driver_is_killed_goes_on_and_trains_nothing_twice(archive, tmp_path):
    output, log = tmp_path / "out", tmp_path / "log"
    command = ["tune", *words(**search_settings(archive, output, search__grace_percent=100))]
    with started(*command, log=log) as process:
        wait_until(
            lambda: (
                sum(t.status is TrialStatus.FINISHED for t in read_trials(output / "trials")) >= 2
                or process.poll() is not None
            ),
            timeout_seconds=400,
            what="two finished trials",
        )
        assert process.poll() is None, log.read_text()
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=60)
    done = {t.name: t.history for t in read_trials(output / "trials") if t.status is TrialStatus.FINISHED}
    assert len(done) < 5
    finished = nrray(*command, timeout_seconds=400)
    assert finished.returncode == 0, finished.stderr
    trials = read_trials(output / "trials")
    assert [trial.status for trial in trials] == [TrialStatus.FINISHED] * 5
    assert {trial.name: trial.history for trial in trials if trial.name in done} == done
    again = nrray(*command)
    assert again.returncode == 0, again.stderr
    assert "this search is finished: nothing was trained" in again.stdout
    assert {trial.name: trial.history for trial in read_trials(output / "trials")} == {
        t.name: t.history for t in trials
    }
    other = nrray(*command, "--set", "search.seed=7")
    assert other.returncode == 1
    assert "holds another search: search differ" in other.stderr


def test_a_dry_run_says_how_long_it_takes_and_writes_nothing(archive, tmp_path):
    found = nrray("tune", "--dry-run", *words(**search_settings(archive, tmp_path / "out")))
    assert found.returncode == 0, found.stderr
    said = "4 trials, each with other settings, of at most 12 steps of 4 windows each, 2 at once, 1 workers each"
    assert said in found.stdout
    assert re.search(r"about \d+ (s|min) at most, at ", found.stdout)
    assert not (tmp_path / "out").exists()


PLACES = {"manifest": "m", "annotations": "a", "split": "s", "output": "o"}


def checkpoint(model_type):
    return ResolvedCheckpoint(
        path="m", adapter=None, metadata=None, inputs=None, base_digest="", digest="", model_type=model_type, stamps=()
    )


def space_of(start, **changes):
    """The space of a search from a checkpoint of some type, or of a TimeSformer from scratch."""
    config = TuneConfig.model_validate({**PLACES, **changes})
    where = checkpoint(start) if isinstance(start, str) else start
    return resolved_space(config, where, defaults=resolved_parts(config.parts, where))


FRESH = TimesformerSection()


@pytest.mark.parametrize(
    ("start", "paths"),
    [
        ("qwen3_vl", {"parts.tower", "training.tower_learning_rate", "training.learning_rate", "adapter.rank"}),
        ("timesformer", {"parts.tower", "training.tower_learning_rate", "training.full_learning_rate", "adapter.rank"}),
        ("vjepa2", {"parts.tower", "training.tower_learning_rate", "training.head_learning_rate", "head.pooling"}),
        (FRESH, {"training.full_learning_rate"}),
    ],
)
def test_without_a_space_the_parts_that_learn_and_their_rates_are_searched(start, paths):
    space = space_of(start)
    assert set(space) == paths
    assert space_of(start, space={path: given(values) for path, values in space.items()}) == space  # which may be given


def given(values):
    return values.model_dump(mode="json") if isinstance(values, Range) else list(values)


@pytest.mark.parametrize(
    ("start", "space", "paths"),
    [
        (FRESH, {"unfreezing": [0.5]}, "training.unfreezing_fraction"),
        (FRESH, {"rank": [8]}, "adapter.rank"),
        ("timesformer", {"rank": [8]}, "adapter.rank"),
        ("vjepa2", {"rank": [8], "unfreezing": [0.5]}, "adapter.rank, training.unfreezing_fraction"),
        ("qwen3_vl", {"tower": ["frozen"], "training.tower_learning_rate": [1e-4]}, "training.tower_learning_rate"),
        ("qwen3_vl", {"unfreezing": [0.5]}, "training.unfreezing_fraction"),
        ("qwen3_vl", {"tower": ["frozen", "adapter"], "parts.tower_blocks": [1]}, "parts.tower_blocks"),
    ],
)
def test_what_changes_nothing_whichever_parts_learn_is_not_searched(start, space, paths):
    with pytest.raises(ConfigError, match=rf"found {paths}, which have no effect on this .*, whichever of the"):
        space_of(start, space=space)


def test_what_changes_something_beside_some_parts_is_searched():
    space = {"tower": ["frozen", "last_blocks"], "parts.tower_blocks": [1, 3], "training.tower_learning_rate": [1e-4]}
    assert space_of("qwen3_vl", space=space)["parts.tower_blocks"] == (1, 3)
    assert set(space_of("vjepa2", space={"tower": ["adapter"], "rank": [8]})) == {"parts.tower", "adapter.rank"}
    assert set(space_of("vjepa2", space={"learning_rate": [1e-3]})) == {"training.head_learning_rate"}


RATE, TOWER_RATE, FULL_RATE = (f"training.{name}learning_rate" for name in ("", "tower_", "full_"))


@pytest.mark.parametrize(
    ("start", "values", "idle"),
    [
        ("qwen3_vl", {"parts.tower": "frozen", TOWER_RATE: 1e-4, "adapter.rank": 8}, {TOWER_RATE}),
        ("qwen3_vl", {"parts.tower": "adapter", TOWER_RATE: 1e-4, "parts.tower_blocks": 3}, {"parts.tower_blocks"}),
        ("qwen3_vl", {"parts.language_model": "frozen", "adapter.rank": 8, RATE: 1e-3}, {"adapter.rank", RATE}),
        ("qwen3_vl", {"parts.language_model": "norms", "adapter.rank": 8, RATE: 1e-3}, {"adapter.rank"}),
        ("timesformer", {"parts.tower": "whole", FULL_RATE: 1e-4, TOWER_RATE: 1e-4}, {TOWER_RATE}),
        ("timesformer", {"parts.tower": "last_blocks", FULL_RATE: 1e-4, TOWER_RATE: 1e-4}, {FULL_RATE}),
        (
            "timesformer",
            {"parts.tower": "adapter", "adapter.rank": 8, "adapter.targets": "query_value"},
            {"adapter.targets"},
        ),
        ("vjepa2", {"parts.tower": "frozen", "training.head_first_steps": 10}, {"training.head_first_steps"}),
        (
            "qwen3_vl",
            {"parts.projector": "frozen", "training.projector_learning_rate": 1.0},
            {"training.projector_learning_rate"},
        ),
    ],
)
def test_a_trial_has_the_settings_alone_that_have_an_effect_in_it(start, values, idle):
    config = TuneConfig.model_validate(PLACES)
    where = checkpoint(start)
    effective = effective_values(
        values, section=config.parts, start=where, defaults=resolved_parts(config.parts, where)
    )
    assert effective == {path: value for path, value in values.items() if path not in idle}


def test_a_space_may_name_any_setting_of_the_training():
    space = {"rank": [8], "learning_rate": {"low": 1e-5, "high": 1e-3}, "training.objective.kind": ["focal"]}
    resolved = space_of("qwen3_vl", space=space)
    assert resolved["adapter.rank"] == (8,)
    assert resolved["training.learning_rate"] == Range(low=1e-5, high=1e-3)
    config = TuneConfig.model_validate({**PLACES, "space": space})
    chosen = config.finetune_config({"adapter.rank": 8, "parts.tower": "adapter", "training.learning_rate": 3e-4})
    assert (chosen.adapter.rank, chosen.parts.tower, chosen.training.learning_rate) == (8, "adapter", 3e-4)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"rnak": [8]}, r"space: found rnak, expected tower, rank, learning_rate"),
        ({"training.learning": [1e-3]}, r"found training.learning, expected the path of a setting"),
        ({"rank": [0]}, r"adapter.rank: found 0, expected 1 or more"),
        ({"rank": []}, r"adapter.rank has no values"),
        ({"manifest": ["x"]}, r"found manifest, expected tower"),
        ({"tower": ["last_block"]}, r"{'parts.tower': 'last_block'} cannot be used"),
        ({"parts.tower_blocks": {"low": 1, "high": 3}}, r"parts.tower_blocks has low and high, expected some values"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused(space, message):
    with pytest.raises(ConfigError, match=message):
        space_of("qwen3_vl", space=space)


def test_a_range_must_rise():
    with pytest.raises(ValueError, match=r"expected low < high"):
        Range(low=1.0, high=0.5)
