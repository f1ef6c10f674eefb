"""A model measured on the test part of the split: the part's videos are labelled, and the labels evaluated."""

from pathlib import Path

import pyarrow as pa

from nrray.archive.cases import read_cases
from nrray.archive.splits import part_cases, read_split
from nrray.console.reporter import Reporter
from nrray.evaluate.config import EvaluateConfig
from nrray.evaluate.document import EVALUATION_FILE, EvaluationDocument, read_evaluation
from nrray.evaluate.evaluation import evaluate
from nrray.models import ModelConfig
from nrray.pipelines.finetune.job import FinetuneConfig, ResolvedFinetune
from nrray.pipelines.relabel.job import RelabelConfig
from nrray.pipelines.relabel.run import RelabelOptions, relabel
from nrray.sampling import sampling_section
from nrray.storage import Folder
from nrray.train.output import is_adapter_folder

TEST = "test"
LABELS, _EVALUATION, _MANIFEST = "labels", "evaluation", "manifest.parquet"


def measured_on_test(resolved: ResolvedFinetune, model: ModelConfig, *, output: Folder) -> EvaluationDocument | None:
    """The evaluation of a model's labels, read where the same videos were measured into `output` before; None where the split has
    no test case, or no window of them could be labelled. A new evaluation is noted as a read of the part. Labels are left in
    LABELS of the output. Raises ConfigError, DataError, IdentityError, ModelError, ResourcesError, StorageError."""
    config = resolved.config
    cases = part_cases(read_split(config.split), TEST)
    if not cases:
        return None
    videos, evaluation = _videos_of(resolved, cases), output / _EVALUATION
    is_known = output.exists(_MANIFEST) and output.read_table(_MANIFEST).equals(videos)
    if is_known and evaluation.exists(EVALUATION_FILE):
        return read_evaluation(str(evaluation))
    output.create()
    evaluation.remove(EVALUATION_FILE)  # before the manifest: it must not be taken for one of other videos
    output.write_table(_MANIFEST, videos)
    labelled = relabel(
        RelabelConfig(
            manifest=output.path(_MANIFEST),
            output=output.path(LABELS),
            label_set=config.label_set,
            model=model,
            sampling=sampling_section(resolved.job.sampling),
            decode=config.decode,
        ),
        RelabelOptions(),
        Reporter(is_json=True),
    )
    if not labelled.counts["ok"]:
        return None
    return evaluate(
        EvaluateConfig(
            candidate=output.path(LABELS),
            reference=config.annotations,
            output=str(evaluation),
            cases=config.cases,
            label_set=config.label_set,
            manifest=config.manifest,
            split=config.split,
            part=TEST,
        )
    ).document


def trained_model_config(config: FinetuneConfig, trained_model: Path) -> ModelConfig:
    """The model that a training left, run as the config says."""
    is_adapter = is_adapter_folder(trained_model)
    model = {"adapter": str(trained_model)} if is_adapter else {"path": str(trained_model), "adapter": None}
    return ModelConfig.model_validate({**config.model.model_dump(mode="json"), **model})


def _videos_of(resolved: ResolvedFinetune, cases: frozenset[str]) -> pa.Table:
    """The manifest's rows of some cases."""
    case_ids = read_cases(resolved.config.cases).case_ids(resolved.manifest["path"].to_pylist())
    return resolved.manifest.filter(pa.array([case_id in cases for case_id in case_ids], pa.bool_()))
