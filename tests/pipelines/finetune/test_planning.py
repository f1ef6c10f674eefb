"""Facts of a plan: looks are compared as soon as all frames are on disk."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from nrray.labels import read_label_set
from nrray.models.config import CheckpointChoice
from nrray.models.looks import Looks, save_looks
from nrray.models.resolved import resolve_checkpoint
from nrray.pipelines.finetune.planning import facts_with_looks, training_facts
from nrray.pipelines.workers import WorkersConfig
from nrray.sampling import Sampling
from nrray.train.frame_store import store_file
from tests.checkpoints import SIDE_PX, VISION, smol_vlm
from tests.train.support import bright_job

SAMPLING = Sampling(
    frames_per_second=2.0, window_seconds=3.0, stride_seconds=1.0, frame_width_px=SIDE_PX, frame_height_px=SIDE_PX
)


def test_looks_are_compared_where_all_frames_are_on_disk_and_are_not_known_before(tmp_path):
    label_set = read_label_set()
    folder = smol_vlm(tmp_path / "model", label_set)
    ones = np.ones(2 * VISION["hidden_size"], np.float32)
    save_looks(Looks(mean=ones, directions=ones[None] / 8, deviations=ones[:1], rest=1.0), folder)
    job = bright_job(tmp_path, folder, label_set, SAMPLING)
    job = replace(job, start=resolve_checkpoint(CheckpointChoice(path=str(folder))))
    facts = training_facts(
        job.start,
        job.chunks,
        head=job.head,
        execution=job.execution,
        workers=WorkersConfig(),
        label_set=label_set,
        sampling=SAMPLING,
    )
    assert facts.has_looks
    assert facts_with_looks(replace(job, facts=facts)).looks_distance > 0
    last = store_file(Path(job.store), job.chunks[-1].name)
    last.write_bytes(last.read_bytes()[:100])  # cut short: it will be extracted anew
    assert facts_with_looks(replace(job, facts=facts)).looks_distance is None
    assert last.exists()
