"""The verb `evaluate`: one labelling measured against another, written as evaluation.json and report.html."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nrray.archive.cases import Cases, read_cases
from nrray.archive.splits import check_contents
from nrray.evaluate.alignment import Alignment, aligned, shared_time
from nrray.evaluate.balanced_subset import balanced_subset
from nrray.evaluate.case_rows import case_rows
from nrray.evaluate.chance_baselines import chance_baselines
from nrray.evaluate.clinical import ClinicalIndicators, clinical_indicators
from nrray.evaluate.config import EvaluateConfig
from nrray.evaluate.confusion import confusion
from nrray.evaluate.document import EVALUATION_FILE, EvaluationDocument
from nrray.evaluate.hallucination import hallucination
from nrray.evaluate.inputs import SplitPart, input_notes, read_contents_by_case, read_note, read_split_part
from nrray.evaluate.labelling import read_labelling
from nrray.evaluate.measures import Measures, measures_of
from nrray.evaluate.metric_rows import metric_rows, onset_error_rows
from nrray.evaluate.page import PAGE_FILE, evaluation_page
from nrray.evaluate.review_links import review_links
from nrray.evaluate.score_curves import precision_recall_curves, reliability_bins
from nrray.evaluate.training_cases import training_notes
from nrray.labels import LabelSet, read_label_set
from nrray.metrics.agreement import krippendorff_alpha
from nrray.metrics.counts import defined
from nrray.metrics.jackknife import few_cases_notes
from nrray.storage import Folder
from nrray.types import hours_of


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A written evaluation."""

    folder: str
    document: EvaluationDocument


def evaluate(config: EvaluateConfig) -> Evaluation:
    """Measure and write evaluation.json and report.html. Raises DataError, StorageError."""
    label_set = read_label_set(config.label_set)
    candidate = read_labelling(config.candidate, activities=label_set.names)
    reference = read_labelling(config.reference, activities=label_set.names)
    labellings = (candidate, reference)
    cases = read_cases(config.cases)
    notes = input_notes(labellings, cases, sidecar=config.cases)
    split_part = None
    if config.split is not None:
        split_part = read_split_part(config.split, config.part, labellings=labellings, cases=cases)
        notes += _content_notes(split_part, config.manifest, cases)
    shared = shared_time(labellings, cases, only_cases=None if split_part is None else split_part.case_ids)
    alignment = aligned(candidate, reference, shared, activities=label_set.activities, cases=cases)
    if split_part is not None:
        notes.append(read_note(split_part, purpose=f"evaluate {candidate.name} against {reference.name}"))
    notes += training_notes([candidate], [config.candidate], alignment.paths, cases)
    notes += few_cases_notes(len(alignment.cases))
    clinical = None
    if label_set.indicators:
        clinical = clinical_indicators(
            candidate,
            reference,
            label_set,
            cases=cases,
            case_ids=alignment.cases,
            merge_gap_seconds=config.merge_gap_seconds,
        )
    document = evaluation_document(
        alignment,
        settings=config,
        label_set=label_set,
        clinical=clinical,
        notes=notes,
    )
    folder = Folder(config.output)
    folder.create()
    # On one line: Python indents a hundred times slower than it writes.
    content = json.dumps(document.model_dump(mode="json", by_alias=True), allow_nan=False)
    folder.write_bytes(EVALUATION_FILE, f"{content}\n".encode())
    paths = [video.path for case in document.cases for video in case.videos]
    links = review_links(config.candidate, config.manifest, paths, report=folder)
    folder.write_bytes(PAGE_FILE, evaluation_page(document, links).encode())
    return Evaluation(folder=str(folder), document=document)


def evaluation_document(
    alignment: Alignment,
    *,
    settings: EvaluateConfig,
    label_set: LabelSet,
    clinical: ClinicalIndicators | None,
    notes: Sequence[str],
) -> EvaluationDocument:
    """All figures of an alignment, with the settings and notes that they come with."""
    measures, excluded_from_macro = measures_of(alignment), label_set.excluded_from_macro
    balanced = None
    if settings.balanced_windows:
        balanced = balanced_subset(alignment, num_windows=settings.balanced_windows, seed=settings.seed)
    return EvaluationDocument(
        schema_version=EvaluationDocument.newest_version,
        candidate=alignment.candidate,
        reference=alignment.reference,
        settings=settings,
        num_cases=len(alignment.cases),
        num_videos=len(alignment.paths),
        num_windows=len(alignment.windows.case),
        hours=hours_of(float(alignment.evaluated.length_us.sum())),
        activities=alignment.activities,
        excluded_from_macro=excluded_from_macro,
        rows=tuple(metric_rows(measures, excluded_from_macro=excluded_from_macro)),
        baselines=chance_baselines(alignment, measures),
        alpha=_alphas(alignment),
        onset_errors=onset_error_rows(alignment),
        precision_recall=precision_recall_curves(alignment) if alignment.has_scores else {},
        reliability=reliability_bins(measures) if alignment.has_scores else {},
        confusion=confusion(alignment),
        unparsed=dict(zip(alignment.activities, alignment.windows.num_unparsed.tolist(), strict=True)),
        hallucination=hallucination(alignment, label_set),
        balanced=balanced,
        clinical=clinical,
        cases=case_rows(alignment, measures, excluded_from_macro=excluded_from_macro, num_worst=settings.worst_cases),
        left_out=alignment.left_out,
        notes=(*notes, *alignment.unlabelled_notes, *alignment.undecided_notes, *_absence_notes(measures)),
    )


def _content_notes(split_part: SplitPart, manifest: str | None, cases: Cases) -> list[str]:
    """Raises DataError where one content is in two parts of the split."""
    if manifest is None:
        return ["Whether one video is in two parts of the split was not checked: give manifest=... for that."]
    check_contents(split_part.split, read_contents_by_case(manifest, cases))
    return []


def _absence_notes(measures: Measures) -> list[str]:
    """A sentence on activities that the reference never has."""
    is_absent = ~measures.is_in_reference[0] & measures.is_labelled
    absent = [measures.activities[i] for i in np.flatnonzero(is_absent)]
    return [f"{', '.join(absent)} in no case of the reference: macro averages are over the others."] if absent else []


def _alphas(alignment: Alignment) -> dict[str, float | None]:
    """Krippendorff's alpha of both labellings, per activity, over the time that both examined."""
    return {
        name: defined(krippendorff_alpha([(part.candidate, part.evaluated), (part.reference, part.evaluated)]))
        for name, part in alignment.timelines.items()
    }
