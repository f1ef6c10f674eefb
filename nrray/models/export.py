"""An adapter merged into its base: a plain transformers checkpoint, with its head beside it, that gives the same scores."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nrray.archive.splits import SPLIT_FILE
from nrray.errors import ModelError
from nrray.labels import LabelSet
from nrray.models.checkpoint import load_checkpoint
from nrray.models.config import Device, Dtype, ModelConfig
from nrray.models.measure import synthetic_frames
from nrray.models.metadata import HEAD_FILE, described_folder, read_artefact, write_artefact
from nrray.models.strategies.head import HeadLabeler
from nrray.storage import make_private

COMPARED_WINDOWS = 4
MAX_DIFFERENCE = 1e-4


@dataclass(frozen=True, kw_only=True)
class Exported:
    """The merged checkpoint, and how far its scores of some windows of noise are from the adapter's."""

    folder: str
    parameter_count: int
    max_difference: float


def export_model(config: ModelConfig, output: Path, label_set: LabelSet) -> Exported:
    """Write base and adapter of `config` as one checkpoint of 32-bit weights into `output`, a folder that is not there yet.

    Raises ModelError where there is no adapter, where `output` exists, or where the scores are not the same.
    """
    if config.adapter is None:
        raise ModelError("model.adapter: found none, expected the folder of an adapter of `nrray finetune`.")
    if output.exists():
        raise ModelError(f"{output}: is there already. Give a folder that is not, or delete it.")
    source = described_folder(config)
    artefact = read_artefact(source)
    assert artefact is not None  # described_folder has seen to it
    exact = config.model_copy(update={"device": Device.CPU, "dtype": Dtype.FLOAT32})
    checkpoint = load_checkpoint(exact)
    output.mkdir(parents=True)
    checkpoint.model.save_pretrained(output)
    checkpoint.processor.save_pretrained(output)
    shutil.copyfile(source / HEAD_FILE, output / HEAD_FILE)
    write_artefact(artefact.model_copy(update={"base": None, "files": {}}), output)
    if (source / SPLIT_FILE).exists():  # what it was trained on is to be known of it too
        shutil.copyfile(source / SPLIT_FILE, output / SPLIT_FILE)
    make_private(output)
    frames = synthetic_frames(artefact.sampling, num_windows=COMPARED_WINDOWS)
    merged = exact.model_copy(update={"path": str(output), "adapter": None})
    ours, theirs = (HeadLabeler(item, label_set).label(frames).scores for item in (exact, merged))
    difference = float(np.abs(ours - theirs).max())
    if difference > MAX_DIFFERENCE:
        shutil.rmtree(output)
        raise ModelError(
            f"{output}: scores of the merged checkpoint are up to {difference:.2g} from the adapter's, expected at most "
            f"{MAX_DIFFERENCE:g}. It was deleted; go on with model.path and model.adapter."
        )
    count = sum(parameter.numel() for parameter in checkpoint.model.parameters())
    return Exported(folder=str(output), parameter_count=count, max_difference=difference)
