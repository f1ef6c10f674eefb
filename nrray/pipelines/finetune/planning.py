"""The facts that a fine-tuning is planned from: of the checkpoint, the examples and this machine."""

import os
from collections.abc import Sequence
from pathlib import Path

import psutil

from nrray.labels import LabelSet
from nrray.models.config import Dtype, Execution, resolved_dtype
from nrray.models.resolved import ResolvedCheckpoint
from nrray.pipelines.workers import WorkersConfig
from nrray.sampling import Sampling
from nrray.storage import Folder
from nrray.train.examples import Chunk, all_examples
from nrray.train.frame_store import is_readable_file, store_file
from nrray.train.job import FinetuneJob
from nrray.train.start import has_own_head
from nrray.train.training_config import HeadSection, TimesformerSection
from nrray.train.training_plan import TrainingFacts, read_plan

_BYTES = {Dtype.FLOAT32: 4, Dtype.BFLOAT16: 2, Dtype.NF4: 1}


def training_facts(
    start: ResolvedCheckpoint | TimesformerSection,
    chunks: Sequence[Chunk],
    *,
    head: HeadSection,
    execution: Execution,
    workers: WorkersConfig,
    label_set: LabelSet,
    sampling: Sampling,
) -> TrainingFacts:
    """All but the distance of looks, for which frames are needed. Raises DataError, ModelError."""
    import torch  # it takes seconds

    from nrray.models.looks import LOOKS_FILE
    from nrray.train.facts import activation_bytes, part_sizes

    on_gpu = torch.cuda.is_available()
    weight = _BYTES[resolved_dtype(execution.dtype, on_gpu=on_gpu)]
    sizes = activations = None
    has_looks = False
    if isinstance(start, ResolvedCheckpoint):
        has_looks = (start.folder / LOOKS_FILE).is_file()
        sizes = part_sizes(start)
        activations = activation_bytes(start, sampling, bytes_per_weight=weight)
    return TrainingFacts(
        **counted(chunks, sampling),
        has_own_head=has_own_head(start, head, label_set),
        sizes=sizes,
        bytes_per_weight=weight,
        activation_bytes=activations,
        has_looks=has_looks,
        memory_bytes=_worker_bytes(workers, on_gpu=on_gpu),
    )


def facts_with_looks(job: FinetuneJob) -> TrainingFacts:
    """The job's facts with the distance of looks, as far as it can be known: as it was found when this training was planned, or
    from its frames, where all of them are on disk. Raises DataError, ModelError."""
    if read_plan(Folder(job.output)) is not None:
        return job.facts
    if not all(is_readable_file(store_file(Path(job.store), chunk.name)) for chunk in job.chunks):
        return job.facts
    from nrray.train.facts import looks_distance  # with torch

    return job.facts.model_copy(update={"looks_distance": looks_distance(job)})


def counted(chunks: Sequence[Chunk], sampling: Sampling) -> dict[str, int]:
    """The facts that are counts of examples. Raises DataError where a part has none."""
    cases = {part: {chunk.case for chunk in chunks if chunk.split == part} for part in ("train", "validation")}
    return {
        "num_windows": len(all_examples(chunks, "train", sampling)),
        "num_cases": len(cases["train"]),
        "num_validation_cases": len(cases["validation"]),
    }


def _worker_bytes(workers: WorkersConfig, *, on_gpu: bool) -> int | None:
    """Memory of a worker where workers are on this machine; None where a cluster has them, which may be of other machines."""
    if "RAY_ADDRESS" in os.environ:
        return None
    if on_gpu:
        import torch

        return int(torch.cuda.get_device_properties(0).total_memory)
    count = workers.num_workers if workers.num_workers != "auto" else 1
    return int(psutil.virtual_memory().available // count)
