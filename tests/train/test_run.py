"""The loop without Ray: it learns, goes on where it was stopped, refuses what it must, and leaves an adapter that labels."""

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from nrray.errors import ConfigError, DataError, ModelError, TrainingError
from nrray.models.config import Dtype, ResolvedParts, TowerLearning
from nrray.models.looks import read_looks
from nrray.models.metadata import read_metadata
from nrray.storage import Folder
from nrray.train import loop
from nrray.train.history import StepMeasured, TrainingStarted, Validated
from nrray.train.loop import Training
from nrray.train.output import STOP_FILE, STOPPED_FILE, VALIDATION_FILE, finished_model_folder, read_metrics
from nrray.train.run import finetune
from nrray.train.schedule import schedule_of
from nrray.train.state import Records
from nrray.train.training_config import TimesformerSection
from tests.model_fixtures import labeler_of
from tests.train.support import NUM_STARTS, bright_job, history_of, model_of, trained_labeler, unit_of, validations_of


def of_type(kind, job):
    return [event for event in history_of(job) if isinstance(event, kind)]


def without_times(event):
    """An event without how long anything took: two trainings differ in that."""
    measured = {"windows_per_second": 0.0, "seconds_left": 0.0} if isinstance(event, StepMeasured) else {}
    return replace(event, unix_seconds=0.0, **measured)


def states_of(job):
    return Folder(f"{job.output}/checkpoints").names(".safetensors")


def states_step(step):
    """The first step at or after `step` at which a state is written."""
    return step + step % 2


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, checkpoint_of, label_set, small_sampling, accelerator):
    job = bright_job(tmp_path_factory.mktemp("undisturbed"), checkpoint_of("fast_vlm"), label_set, small_sampling)
    finetune(job, accelerator)
    return job


def test_everything_that_is_left_is_for_its_owner_alone(undisturbed):
    left = [
        path
        for folder in (model_of(undisturbed), Path(undisturbed.output, "checkpoints"))
        for path in folder.rglob("*")
    ]
    assert len(left) > 6
    assert {path.stat().st_mode & 0o077 for path in [model_of(undisturbed), *left]} == {0}


def test_it_learns_what_can_be_seen(undisturbed):
    found = validations_of(undisturbed)
    assert found[-1].validation_loss < found[0].validation_loss
    assert [event.step for event in found] == [0, 4, 8, 10]


def test_a_base_of_sixteen_bits_is_trained_and_labels_as_it_was_measured(
    tmp_path, checkpoint_of, label_set, small_sampling, accelerator
):
    job = bright_job(tmp_path, checkpoint_of("qwen3_vl"), label_set, small_sampling)
    job = replace(job, execution=job.execution.model_copy(update={"dtype": Dtype.BFLOAT16}))
    finetune(job, accelerator)
    metadata = read_metadata(model_of(job))
    temperatures = np.array([metadata.temperatures[name] for name in label_set.names])
    with np.load(f"{job.output}/{VALIDATION_FILE}") as validated:
        measured = 1 / (1 + np.exp(-validated["logits"] / temperatures))
    scores = trained_labeler(job).label(unit_of(job, "c", NUM_STARTS)).scores[:: small_sampling.frames_per_stride]
    np.testing.assert_allclose(scores, measured[: len(scores)], atol=0.03)  # of the first of two cases


def test_four_bits_are_not_trained_on_a_cpu(tmp_path, checkpoint_of, label_set, small_sampling, accelerator):
    job = bright_job(tmp_path, checkpoint_of("qwen3_vl"), label_set, small_sampling)
    job = replace(job, execution=job.execution.model_copy(update={"dtype": Dtype.NF4}))
    with pytest.raises(ConfigError, match=r"nf4 and no GPU"):
        finetune(job, accelerator)


def test_the_adapter_labels_as_it_was_measured(undisturbed):
    metadata = read_metadata(model_of(undisturbed))
    every = undisturbed.sampling.frames_per_stride
    labeler, cases = trained_labeler(undisturbed), ("c", "d")
    scores = np.concatenate(
        [labeler.label(unit_of(undisturbed, case, NUM_STARTS)).scores[::every].astype(np.float64) for case in cases]
    )
    targets = np.concatenate([chunk.targets[::every] for chunk in undisturbed.chunks if chunk.case in cases])
    temperatures = np.array([metadata.temperatures[name] for name in undisturbed.label_set.names])
    logits = np.log(scores / (1 - scores)) * temperatures
    cost = np.logaddexp(0, np.where(targets, -logits, logits)).mean()
    best = read_metrics(model_of(undisturbed)).best_step
    measured = [event.validation_loss for event in validations_of(undisturbed) if event.step == best]
    np.testing.assert_allclose(cost, measured[0], atol=1e-4)
    assert set(metadata.temperatures) == set(undisturbed.label_set.names)


def test_the_honest_figure_and_the_logits_of_every_validation_are_left(undisturbed):
    names = undisturbed.label_set.names
    metrics = read_metrics(model_of(undisturbed))
    assert metrics.validation.num_cases == 2
    assert set(metrics.validation.f1) == set(names)
    assert 0 <= metrics.validation.macro_f1.estimate <= metrics.chosen_macro_f1
    card = Path(model_of(undisturbed), "model_card.md").read_text()
    assert f"Macro F1 {metrics.validation.macro_f1} on the validation windows, cross-fitted by case" in card
    with np.load(f"{undisturbed.output}/{VALIDATION_FILE}") as left:
        assert left["steps"].tolist() == [event.step for event in validations_of(undisturbed)]
        assert left["step_logits"].shape == (4, 2 * NUM_STARTS // undisturbed.sampling.frames_per_stride, len(names))
        best = left["steps"].tolist().index(metrics.best_step)
        np.testing.assert_array_equal(left["step_logits"][best], left["logits"])


def test_the_files_of_an_adapter_are_vouched_for(undisturbed):
    metadata = read_metadata(model_of(undisturbed))
    assert metadata.files.keys() == {
        "adapter_config.json",
        "adapter_model.safetensors",
        "head.safetensors",
        "looks.safetensors",
        "metrics.json",
        "split.json",
    }


def test_a_fine_tuned_model_knows_the_looks_of_its_own_windows_and_that_others_are_unlike_them(undisturbed):
    labeler = trained_labeler(undisturbed)
    looks = read_looks(model_of(undisturbed))
    assert looks is not None
    own = unit_of(undisturbed, "d")
    ramp = np.linspace(0, 255, own.pixels.shape[2]).astype(np.uint8)[:, None]
    others = replace(own, pixels=np.zeros_like(own.pixels) + ramp)
    assert np.median(labeler.label(own).looks_distances) < looks.far
    assert np.median(labeler.label(others).looks_distances) >= looks.far


def test_a_file_of_the_adapter_that_was_changed_is_refused(undisturbed, tmp_path):
    folder = shutil.copytree(model_of(undisturbed), tmp_path / "adapter")
    (folder / "split.json").write_text("{}")
    with pytest.raises(ModelError, match=r"split.json is not the file that was trained"):
        labeler_of(undisturbed.start.path, undisturbed.label_set, adapter=folder)


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("stop_at", [3, 6])
def test_a_stopped_training_goes_on_to_the_same_end(
    tmp_path, undisturbed, checkpoint_of, label_set, small_sampling, accelerator, monkeypatch, stop_at
):
    job = bright_job(tmp_path, checkpoint_of("fast_vlm"), label_set, small_sampling)
    write_state = Records.write_state

    def stopping(self, state):
        write_state(self, state)
        if state.progress.step >= stop_at:
            raise StoppedError

    with monkeypatch.context() as patch:
        patch.setattr(Records, "write_state", stopping)
        with pytest.raises(StoppedError):
            finetune(job, accelerator)
    finetune(job, accelerator)
    ours, theirs = (
        [without_times(event) for event in history_of(j) if not isinstance(event, TrainingStarted)]
        for j in (job, undisturbed)
    )
    assert ours == theirs
    assert [event.step for event in of_type(TrainingStarted, job)] == [0, states_step(stop_at)]
    np.testing.assert_array_equal(
        trained_labeler(job).label(unit_of(job, "c")).scores,
        trained_labeler(undisturbed).label(unit_of(job, "c")).scores,
    )
    assert read_metrics(model_of(job)) == read_metrics(model_of(undisturbed))


def cut(data):
    return data[: len(data) // 2]


def flipped(data):
    """Whole, but for some bytes of its tensors."""
    middle = len(data) // 2
    return data[:middle] + bytes(255 - byte for byte in data[middle : middle + 100]) + data[middle + 100 :]


@pytest.mark.parametrize("damaged", [cut, flipped])
def test_a_last_checkpoint_that_cannot_be_read_is_in_the_history_and_the_one_before_it_taken(
    tmp_path, undisturbed, accelerator, damaged
):
    output = shutil.copytree(undisturbed.output, tmp_path / "out")
    job = replace(undisturbed, output=str(output))
    earlier, last = states_of(job)
    data = (output / "checkpoints" / last).read_bytes()
    (output / "checkpoints" / last).write_bytes(damaged(data))
    finetune(job, accelerator)
    start = of_type(TrainingStarted, job)[-1]
    assert f"step-{start.step:08d}.safetensors" == earlier
    assert [name.split()[0] for name in start.unreadable_checkpoints] == [last]
    assert states_of(job)[-1] == last  # written again
    np.testing.assert_array_equal(
        trained_labeler(job).label(unit_of(job, "c")).scores,
        trained_labeler(undisturbed).label(unit_of(undisturbed, "c")).scores,
    )
    for name in states_of(job):
        (output / "checkpoints" / name).write_bytes(b"")
    with pytest.raises(DataError, match=r"no checkpoint that can be read, of .* Delete the folder"):
        finetune(job, accelerator)


def test_the_loss_in_the_history_is_the_mean_of_the_steps_since_the_last_one(
    tmp_path, checkpoint_of, label_set, small_sampling, accelerator, monkeypatch
):
    step_of, losses = Training._step, []

    def recorded(self, batches):
        found = step_of(self, batches)
        losses.append(found.loss)
        return found

    monkeypatch.setattr(Training, "_step", recorded)
    monkeypatch.setattr(loop, "LOG_EVERY_STEPS", 2)
    job = bright_job(tmp_path, checkpoint_of("fast_vlm"), label_set, small_sampling, num_steps=5)
    finetune(job, accelerator)
    measured = of_type(StepMeasured, job)
    assert [event.step for event in measured] == [2, 4, 5]
    share = schedule_of(job.training, stuck_at=None).share(1)
    assert measured[0].learning_rate == pytest.approx(job.training.learning_rate * share)
    np.testing.assert_allclose(
        [event.loss for event in measured], [np.mean(losses[:2]), np.mean(losses[2:4]), losses[4]]
    )


def test_a_validation_part_that_shows_nothing_is_refused(
    tmp_path, checkpoint_of, label_set, small_sampling, accelerator
):
    job = bright_job(tmp_path, checkpoint_of("fast_vlm"), label_set, small_sampling)
    chunks = [
        replace(chunk, targets=np.zeros_like(chunk.targets)) if chunk.split == "validation" else chunk
        for chunk in job.chunks
    ]
    with pytest.raises(DataError, match=r"no window of the validation split shows any of"):
        finetune(replace(job, chunks=chunks), accelerator)


def test_a_training_that_is_asked_to_stop_keeps_its_state_and_leaves_no_adapter(
    tmp_path, undisturbed, checkpoint_of, label_set, small_sampling, accelerator
):
    job = bright_job(tmp_path, checkpoint_of("fast_vlm"), label_set, small_sampling)
    output = Folder(job.output)
    output.write_bytes(STOP_FILE, b"")
    finetune(job, accelerator)
    assert output.read_json(STOPPED_FILE) == {"step": 1}
    assert states_of(job)[-1] == "step-00000001.safetensors"
    assert finished_model_folder(job.output) is None
    output.remove(STOP_FILE)
    finetune(job, accelerator)
    np.testing.assert_array_equal(
        trained_labeler(job).label(unit_of(job, "c")).scores,
        trained_labeler(undisturbed).label(unit_of(undisturbed, "c")).scores,
    )


def test_a_training_of_other_settings_is_not_gone_on_with(undisturbed, accelerator):
    changed = replace(undisturbed, training=undisturbed.training.model_copy(update={"seed": 1}))
    with pytest.raises(DataError, match=r"other settings: training.seed \(there 0, here 1\)\. Train"):
        finetune(changed, accelerator)
    output = Folder(undisturbed.output)
    with pytest.raises(DataError, match=r"training.seed \(there 0, here 1\)"):
        Records(output, {**changed.identity(), "dropped": ["x"]}).check_identity(undecided={"dropped"})
    Records(output, {**undisturbed.identity(), "dropped": ["x"]}).check_identity(undecided={"dropped"})


def test_a_loss_that_is_no_number_stops_and_names_its_windows(
    tmp_path, checkpoint_of, label_set, small_sampling, accelerator
):
    job = bright_job(
        tmp_path,
        checkpoint_of("fast_vlm"),
        label_set,
        small_sampling,
        learning_rate=1e30,
        head_learning_rate=1e30,
        warmup_fraction=0.0,
        validate_every_steps=100,
        checkpoint_every_steps=1,
    )
    with pytest.raises(TrainingError, match=r"of step \d+ is no number, with [ab]\.mp4 at \d"):
        finetune(job, accelerator)
    assert states_of(job)


def test_it_stops_where_validation_gets_no_better(tmp_path, checkpoint_of, label_set, small_sampling, accelerator):
    job = bright_job(
        tmp_path,
        checkpoint_of("fast_vlm"),
        label_set,
        small_sampling,
        learning_rate=1e-12,
        head_learning_rate=1e-12,
        validate_every_steps=1,
        patience=2,
        decay_fraction=0.3,
    )
    finetune(job, accelerator)
    assert [event.step for event in validations_of(job)] == [
        0,
        1,
        2,
        3,
    ]  # better than none at 0, then twice not; a decay
    assert read_metrics(model_of(job)).steps == 3


def losses_of(job, accelerator):
    """Losses of validations and of steps of a training, in order."""
    finetune(job, accelerator)
    events = [event for event in history_of(job) if not isinstance(event, TrainingStarted)]
    return [event.validation_loss if isinstance(event, Validated) else event.loss for event in events]


def test_gradient_checkpointing_changes_no_loss(tmp_path, checkpoint_of, label_set, small_sampling, accelerator):
    job = partial(bright_job, tmp_path, checkpoint_of("qwen2_5_vl"), label_set, small_sampling, num_steps=3)
    plain = losses_of(job(output="plain"), accelerator)
    changed = losses_of(job(output="changed", gradient_checkpointing=True), accelerator)
    assert len(plain) > 2
    np.testing.assert_allclose(changed, plain, atol=1e-5)


@pytest.mark.harsh  # compiles for a minute
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
@pytest.mark.timeout(300)
def test_compiled_layers_learn_the_same(tmp_path, checkpoint_of, label_set, small_sampling, accelerator):
    torch._dynamo.reset()
    counters = torch._dynamo.utils.counters
    counters.clear()
    job = partial(bright_job, tmp_path, checkpoint_of("qwen3_vl"), label_set, small_sampling, num_steps=3)
    plain = losses_of(job(output="plain", gradient_checkpointing=True), accelerator)
    assert counters["stats"]["unique_graphs"] == 0
    changed = losses_of(job(output="changed", gradient_checkpointing=True, compile_layers=True), accelerator)
    assert counters["stats"]["unique_graphs"] > 0
    assert not counters["graph_break"]
    assert len(plain) > 2
    np.testing.assert_allclose(changed, plain, atol=1e-5)


def test_layers_that_cannot_be_compiled_are_an_error(tmp_path, label_set, small_sampling, accelerator, monkeypatch):
    torch._dynamo.reset()
    monkeypatch.setattr(torch._inductor.config.cpp, "cxx", ("no-such-compiler",))
    job = bright_job(tmp_path, Path("embedded"), label_set, small_sampling, compile_layers=True)
    section = TimesformerSection(hidden_size=16, num_layers=2, num_heads=2, patch_px=16)
    job = replace(job, start=section, parts=ResolvedParts(tower=TowerLearning.WHOLE))
    with pytest.raises(TrainingError, match=r"cannot be compiled here: .*no-such-compiler.*compile_layers=false"):
        finetune(job, accelerator)
