"""Labelling and training on a CUDA device: the same scores as on a CPU, and what happens when its memory is full."""

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from nrray.models import LabelMemoryError, ModelConfig
from nrray.models.config import Device, Dtype
from nrray.models.measure import synthetic_frames
from nrray.storage import Folder
from nrray.train.history import StepMeasured, read_history
from nrray.train.output import VALIDATION_FILE
from nrray.train.run import finetune
from nrray.train.training_config import TrainingConfig
from tests.benchmarks.noise import noise_job
from tests.checkpoints import CHECKPOINTS, ENCODERS, wide_qwen3_vl
from tests.model_fixtures import labeler_of, loaded
from tests.train.support import model_of

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(300)]

ON_CPU = {"device": Device.CPU, "dtype": Dtype.FLOAT32}
ON_GPU = {"device": Device.CUDA, "dtype": Dtype.FLOAT32}


def limit_memory(share_of_peak: float) -> None:
    """From now on this process may take a share of what it took at most since its memory was last measured."""
    total = torch.cuda.get_device_properties(0).total_memory
    limit = torch.cuda.max_memory_reserved() * share_of_peak
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(limit / total)


def num_refused() -> int:
    return torch.cuda.memory_stats()["num_ooms"]


def test_the_embedded_model_scores_as_on_a_cpu(label_set):
    labelers = [
        labeler_of("embedded", label_set, **execution)
        for execution in (ON_CPU, ON_GPU, {**ON_GPU, "dtype": Dtype.BFLOAT16})
    ]
    frames = synthetic_frames(labelers[0].info.sampling, num_windows=16)
    cpu, exact, coarse = (labeler.label(frames).scores for labeler in labelers)
    assert labelers[1].info.device == "cuda"
    np.testing.assert_allclose(exact, cpu, atol=1e-3)
    np.testing.assert_allclose(coarse, cpu, atol=0.1)


@pytest.mark.parametrize("name", [*CHECKPOINTS, *ENCODERS])
def test_every_family_computes_what_it_computes_on_a_cpu(name, checkpoint_of, small_sampling):
    unit = synthetic_frames(small_sampling, num_windows=3)
    hidden = []
    for execution in (ON_CPU, ON_GPU):
        checkpoint = loaded(checkpoint_of(name), **execution)
        runner = checkpoint.family.runner(checkpoint)
        with torch.inference_mode():
            forward = runner.unit_forward(unit, question="Well?", micro_batch_windows=3)
            hidden.append(forward(slice(0, 3)).hidden.cpu())
    torch.testing.assert_close(hidden[1], hidden[0], atol=2e-3, rtol=0)


def test_a_labeler_that_runs_out_of_memory_labels_less_at_once(label_set):
    sampling = labeler_of("embedded", label_set, **ON_CPU).info.sampling
    frames = synthetic_frames(sampling, num_windows=1024)
    labeler = labeler_of("embedded", label_set, micro_batch_windows=1024, **ON_GPU)
    expected = labeler.label(frames).scores
    refused = num_refused()
    limit_memory(0.6)
    found = labeler.label(frames).scores
    assert num_refused() > refused
    np.testing.assert_allclose(found, expected, atol=1e-4)
    limit_memory(0.0)
    with pytest.raises(LabelMemoryError):
        labeler.label(frames)


def test_a_training_that_runs_out_of_memory_makes_the_same_steps(tmp_path):
    histories = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        config = TrainingConfig(batch_windows=256, micro_batch_windows=256, validate_every_steps=100)
        job = noise_job(folder, steps=10, model=ModelConfig(**ON_GPU), config=config)
        refused = num_refused()
        finetune(job, Accelerator())
        histories.append([e.loss for e in read_history(Folder(str(folder))) if isinstance(e, StepMeasured)])
        assert (num_refused() > refused) == (number == 1)
        limit_memory(0.6)
    assert len(histories[0]) == 1
    np.testing.assert_allclose(histories[1], histories[0], rtol=1e-3)


def test_four_bits_train_and_label(tmp_path, label_set, small_sampling):
    pytest.importorskip("bitsandbytes")
    folder = wide_qwen3_vl(tmp_path / "base", label_set)
    model = ModelConfig(path=str(folder), device=Device.CUDA, dtype=Dtype.NF4)
    place = tmp_path / "training"
    place.mkdir()
    job = noise_job(place, steps=4, model=model, sampling=small_sampling, config=TrainingConfig(learning_rate=1e-3))
    finetune(job, Accelerator())
    labeler = labeler_of(folder, label_set, adapter=model_of(job), device=Device.CUDA, dtype=Dtype.NF4)
    assert labeler.info.dtype == "nf4"
    assert np.isfinite(labeler.label(synthetic_frames(small_sampling, num_windows=4)).scores).all()
    with np.load(place / VALIDATION_FILE) as validated:
        assert np.isfinite(validated["logits"]).all()
