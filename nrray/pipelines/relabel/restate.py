"""`nrray relabel --restate`: the answers in the ledger are read again, under the present parser, thresholds and rules, and
published as a version of their own. No model is loaded, and no Ray started."""

from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from nrray.console.reporter import Reporter
from nrray.console.run_record import keep_record, refuse_other_output
from nrray.errors import ConfigError, DataError
from nrray.labels import LabelSet
from nrray.models.strategies.prompted import PromptedStrategy, elected, scores_read
from nrray.pipelines.relabel.job import RelabelConfig, RelabelJob, resolved_job
from nrray.pipelines.relabel.publishing import publish_restated
from nrray.pipelines.relabel.report import Relabelled
from nrray.results.identity import check_same_answers
from nrray.results.ledger import RESULT_SCHEMA, Ledger, unit_counts
from nrray.results.version import VersionKind, last_of_kind
from nrray.types import NO_STATE, STATE_INDEX
from nrray.writer_lock import WriterLock

_READ = ("scores", "states", "answer_states")


def restate(config: RelabelConfig, reporter: Reporter, *, allow_remote: bool = False) -> Relabelled:
    """Publish the answers of an output as they are read now. allow_remote: whether the model's server may be outside the house.

    Raises ConfigError for a strategy that asks nothing, IdentityError where the answers are of another model or to other prompts,
    DataError where there are none, and what `relabel` raises.
    """
    job = resolved_job(config, allow_remote=allow_remote)
    strategy = job.strategy
    if not isinstance(strategy, PromptedStrategy):
        raise ConfigError(
            f"strategy.kind: found {strategy.kind}, which gives no answers to read again. Run nrray relabel without --restate: "
            f"it publishes the scores under other segments.thresholds, and computes nothing again."
        )
    refuse_other_output(job.output, "relabel")
    before = check_same_answers(job.output, job.identity, unrecorded_strategy=job.unrecorded_strategy)
    if before.label_set != job.identity.label_set:
        _check_activities(job)
    ledger = Ledger(job.output)
    parser = strategy.identity(job.checkpoint, job.label_set)["parser"]
    reporter.say(f"answers are read again, by {parser}; no unit is tried, and no model loaded")
    with WriterLock(job.output, lease_seconds=config.ledger.lease_seconds):
        keep_record(job.output, "relabel", config)
        index = ledger.index()
        if index.num_rows == 0:
            raise DataError(f"{job.output}: found an empty ledger, expected answers. Run nrray relabel first.")
        counts = unit_counts(job.plan.units, index)
        publication = publish_restated(
            job,
            index,
            counts=counts,
            reread=partial(reread, strategy=strategy, label_set=job.label_set),
            reporter=reporter,
        )
    return Relabelled(
        output=str(job.output),
        counts=counts,
        published=publication.published,
        record=publication.record,
        measured=None,
        max_unparsed_share=job.config.max_unparsed_share,
        knows_looks=job.domain_rule is not None,
    )


def _check_activities(job: RelabelJob) -> None:
    last = last_of_kind(job.output, VersionKind.RELABEL)
    found = None if last is None else last.activities
    if found != job.label_set.names:
        raise DataError(
            f"{job.output}: found answers about {list(found or ())}, expected the label set's {list(job.label_set.names)} in "
            f"this order. Give the label set that it was made with; its rules may differ."
        )


def reread(results: pa.Table, *, strategy: PromptedStrategy, label_set: LabelSet) -> pa.Table:
    """Rows of the ledger, RESULT_SCHEMA, with states, and scores where answers have them, as the strategy reads the answers now.
    Raises DataError for a unit with labels and without answers."""
    names = ["unit_id", "window_labelled", "questions", "answers", *_READ]
    rows = [_reread(row, strategy, label_set) for row in results.select(names).to_pylist()]
    for name in _READ:
        column = pa.array([row[name] for row in rows], RESULT_SCHEMA.field(name).type)
        results = results.set_column(results.column_names.index(name), RESULT_SCHEMA.field(name), column)
    return results


def _reread(row: dict[str, Any], strategy: PromptedStrategy, label_set: LabelSet) -> dict[str, Any]:
    labelled = np.array(row["window_labelled"], bool)
    if not labelled.any():
        return row
    if row["answers"] is None:
        raise DataError(
            f"unit {row['unit_id']} of the ledger: found labels without answers, expected what the model said. Its labels "
            f"cannot be read again."
        )
    questions = row["questions"] or list(label_set.names)  # of a release before: one for each activity
    num_questions, per_vote = len(questions), sum("#" not in name for name in questions)
    texts = [row["answers"][place : place + num_questions] for place in range(0, len(row["answers"]), num_questions)]
    readings = [
        [strategy.read(said[first : first + per_vote], label_set) for first in range(0, num_questions, per_vote)]
        for said, is_labelled in zip(texts, labelled, strict=True)
        if is_labelled
    ]
    states = np.array(row["states"], np.uint8).reshape(len(labelled), -1)
    states[labelled] = [[STATE_INDEX[state] for state in elected(window)] for window in readings]
    answer_states = np.full((len(labelled), num_questions), NO_STATE, np.uint8)
    answer_states[labelled] = [
        [NO_STATE if state is None else STATE_INDEX[state] for reading in window for state in reading.answer_states]
        for window in readings
    ]
    scores = np.array(row["scores"], np.float32).reshape(len(labelled), -1)
    found = scores_read(readings, num_activities=len(label_set.names))
    if found is not None:
        scores[labelled] = found
    return {"scores": scores.reshape(-1), "states": states.reshape(-1), "answer_states": answer_states.reshape(-1)}
