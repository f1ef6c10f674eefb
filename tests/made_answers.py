"""Outputs of relabel whose ledgers have made answers: no model, no Ray."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nrray.labels import read_label_set
from nrray.pipelines.relabel.job import RelabelConfig, resolved_job
from nrray.results.identity import bind_identity
from nrray.results.ledger import RESULT_SCHEMA, Ledger
from nrray.storage import Folder
from nrray.types import STATE_INDEX, LabelState
from tests.made_tables import manifest, unit_results, video

LABELS = read_label_set()  # baby_visible, ventilation, stimulation, suction
VIDEOS = (video("one.mp4", seconds=8.0), video("two.mp4", seconds=5.0))


def config(tmp_path, **changed) -> RelabelConfig:
    pq.write_table(manifest(*VIDEOS), tmp_path / "manifest.parquet")
    settings = {"strategy": {"kind": "yes_no"}, "outside_domain": "label", **changed}
    return RelabelConfig(manifest=str(tmp_path / "manifest.parquet"), output=str(tmp_path / "labels"), **settings)


def answered(made: RelabelConfig, texts, *, failed=0) -> Folder:
    """An output whose ledger has these answers to its questions in every window, and units that failed. texts: one for each
    question, or a function that gives them for a window by its number in the ledger."""
    job = resolved_job(made)
    ledger = Ledger(job.output)
    job.output.create()
    ledger.create()
    decided = job.identity.model_copy(update={"dtype": "float32"})
    bind_identity(job.output, decided, unrecorded_strategy=job.unrecorded_strategy)
    results = unit_results(job.plan.units, VIDEOS, job.sampling, activities=LABELS.names)
    counts = results["num_windows"].to_pylist()
    questions = [question.name for question in job.strategy.asked(job.checkpoint, job.label_set)]
    unread = STATE_INDEX[LabelState.UNPARSED]
    columns = {
        "questions": [questions] * len(counts),
        "answers": [
            [text for window in range(end - count, end) for text in (texts(window) if callable(texts) else texts)]
            for count, end in zip(counts, np.cumsum(counts).tolist(), strict=True)
        ],
        "answer_states": [[unread] * len(questions) * count for count in counts],
        "answer_tokens": [[1] * len(questions) * count for count in counts],
        "answer_seconds": [[0.1] * len(questions) * count for count in counts],
        "states": [[unread] * len(LABELS.names) * count for count in counts],
        "scores": [[0.6] * len(LABELS.names) * count for count in counts],
    }
    for name, values in columns.items():
        column = pa.array(values, RESULT_SCHEMA.field(name).type)
        results = results.set_column(results.column_names.index(name), RESULT_SCHEMA.field(name), column)
    if failed:
        broken = unit_results(
            job.plan.units.slice(0, failed), VIDEOS, job.sampling, status="failed", activities=LABELS.names
        )
        results = pa.concat_tables([broken, results.slice(failed)])
    ledger.append(results)
    return job.output
