"""An adapter merged into its base: a plain transformers checkpoint, with its head beside it, that gives the same scores."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nrray.archive.splits import SPLIT_FILE
from nrray.errors import ModelError
from nrray.labels import LabelSet
from nrray.models.checkpoint import load_checkpoint
from nrray.models.config import CheckpointChoice, Device, Dtype, Execution
from nrray.models.inputs import INPUTS_KEY
from nrray.models.looks import LOOKS_FILE
from nrray.models.measure import synthetic_frames
from nrray.models.metadata import HEAD_FILE, vouched_files, write_metadata
from nrray.models.resolved import ResolvedCheckpoint, resolve_checkpoint
from nrray.models.strategies.head import HeadStrategy
from nrray.storage import make_private

COMPARED_WINDOWS = 4
MAX_DIFFERENCE = 1e-4


@dataclass(frozen=True, kw_only=True)
class Exported:
    """The merged checkpoint, and how far its scores of some windows of noise are from the adapter's."""

    folder: str
    parameter_count: int
    max_difference: float


def export_model(checkpoint: ResolvedCheckpoint, output: Path, label_set: LabelSet) -> Exported:
    """Write base and adapter as one checkpoint of 32-bit weights into `output`, a folder that is not there yet.

    Raises ModelError where there is no adapter, where `output` exists, or where the scores are not the same.
    """
    if checkpoint.adapter is None or checkpoint.metadata is None:
        raise ModelError("model.adapter: found none, expected the folder of an adapter of `nrray finetune`.")
    if output.exists():
        raise ModelError(f"{output}: is there already. Give a folder that is not, or delete it.")
    source, metadata = checkpoint.head_folder, checkpoint.metadata
    exact = Execution(device=Device.CPU, dtype=Dtype.FLOAT32)
    loaded = load_checkpoint(checkpoint, execution=exact)
    output.mkdir(parents=True)
    setattr(loaded.model.config, INPUTS_KEY, metadata.inputs.model_dump(mode="json"))  # for words, which need no head
    loaded.model.save_pretrained(output)
    loaded.processor.save_pretrained(output)
    shutil.copyfile(source / HEAD_FILE, output / HEAD_FILE)
    for name in (SPLIT_FILE, LOOKS_FILE):  # its training cases and looks are to be known of the merged model too
        if (source / name).exists():
            shutil.copyfile(source / name, output / name)
    write_metadata(metadata.model_copy(update={"base": None, "files": vouched_files(output)}), output)
    make_private(output)
    frames = synthetic_frames(metadata.sampling, num_windows=COMPARED_WINDOWS)
    merged = resolve_checkpoint(CheckpointChoice(path=str(output)))
    ours, theirs = (
        HeadStrategy().labeler(item, label_set=label_set, execution=exact).label(frames).scores
        for item in (checkpoint, merged)
    )
    difference = float(np.abs(ours - theirs).max())
    if difference > MAX_DIFFERENCE:
        shutil.rmtree(output)
        raise ModelError(
            f"{output}: scores of the merged checkpoint are up to {difference:.2g} from the adapter's, expected at most "
            f"{MAX_DIFFERENCE:g}. It was deleted; go on with model.path and model.adapter."
        )
    count = sum(parameter.numel() for parameter in loaded.model.parameters())
    return Exported(folder=str(output), parameter_count=count, max_difference=difference)
