"""The score of the best trial on the test part of the split, which is read for it once."""

from pathlib import Path

import pyarrow as pa

from nrray.archive.cases import read_cases
from nrray.archive.splits import part_cases, read_split
from nrray.config import Section
from nrray.console.reporter import Reporter
from nrray.documents import section_from
from nrray.evaluate.config import EvaluateConfig
from nrray.evaluate.evaluation import evaluate
from nrray.models import ModelConfig
from nrray.pipelines.finetune.job import ResolvedFinetune
from nrray.pipelines.relabel.job import RelabelConfig
from nrray.pipelines.relabel.run import RelabelOptions, relabel
from nrray.pipelines.tune.job import TuneConfig
from nrray.storage import Folder
from nrray.train.output import is_adapter_folder

TEST, SCORE_FILE = "test", "score.json"


class HeldOutScore(Section):
    """Macro F1 over windows of the test part, with the 95 % interval over its cases; None of too few cases for one."""

    estimate: float
    low: float | None
    high: float | None


def measured_test_score(config: TuneConfig, resolved: ResolvedFinetune, trained_model: Path) -> HeldOutScore | None:
    """The score of a model, read where it was measured before; None where the split has no test part, or no window of it could
    be labelled. Raises DataError, ModelError, StorageError."""
    cases = part_cases(read_split(config.split), TEST)
    if not cases:
        return None
    output = Folder(resolved.job.output) / TEST
    if not output.exists(SCORE_FILE):
        if not _labelled(config, resolved, trained_model, output=output, cases=cases):
            return None
        output.write_json(SCORE_FILE, _evaluated(config, output).model_dump(mode="json"))
    return section_from(HeldOutScore, output.read_json(SCORE_FILE), name=SCORE_FILE, folder=str(output))


def _labelled(
    config: TuneConfig, resolved: ResolvedFinetune, trained_model: Path, *, output: Folder, cases: frozenset[str]
) -> bool:
    """Label the videos of some cases; whether any window was."""
    case_ids = read_cases(config.cases).case_ids(resolved.manifest["path"].to_pylist())
    is_test = [case_id in cases for case_id in case_ids]
    output.create()
    output.write_table("manifest.parquet", resolved.manifest.filter(pa.array(is_test)))
    is_adapter = is_adapter_folder(trained_model)
    model = {"adapter": str(trained_model)} if is_adapter else {"path": str(trained_model), "adapter": None}
    labelled = relabel(
        RelabelConfig(
            manifest=output.path("manifest.parquet"),
            output=output.path("labels"),
            label_set=config.label_set,
            model=ModelConfig.model_validate({**config.model.model_dump(mode="json"), **model}),
            decode=config.decode,
        ),
        RelabelOptions(),
        Reporter(is_json=True),
    )
    return labelled.counts["ok"] > 0


def _evaluated(config: TuneConfig, output: Folder) -> HeldOutScore:
    evaluation = evaluate(
        EvaluateConfig(
            candidate=output.path("labels"),
            reference=config.annotations,
            output=output.path("evaluation"),
            cases=config.cases,
            label_set=config.label_set,
            split=config.split,
        )
    )
    macro = evaluation.document.macro_row.values["windows f1"]
    return HeldOutScore(estimate=macro.estimate, low=macro.low, high=macro.high)
