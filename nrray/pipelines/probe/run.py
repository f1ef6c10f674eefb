"""`nrray probe`: the same videos labelled as they were filmed, with other frames in their place, and in other words.

Every one of these is a run of relabel in a folder of its own, so that a probe goes on where it was stopped.

    <output>/manifest.parquet, filmed/, blank/, ..., reworded/, probe.json
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nrray.archive.cases import Cases, read_cases
from nrray.archive.manifest import check_manifest
from nrray.console.reporter import Reporter
from nrray.console.run_record import keep_record, refuse_other_output
from nrray.errors import DataError
from nrray.evaluate.alignment import Alignment, aligned, shared_time
from nrray.evaluate.hallucination import (
    CaptionHallucination,
    Mentions,
    caption_hallucination,
    contradiction,
    hallucination,
    yes_rates,
)
from nrray.evaluate.inputs import input_notes, read_note, read_split_part
from nrray.evaluate.labelling import Labelling, read_labelling
from nrray.evaluate.measures import measures_of
from nrray.labels import LabelSet, read_label_set
from nrray.metrics.jackknife import Value, few_cases_notes, value_of
from nrray.models import resolve_model, resolve_strategy
from nrray.models.shown import Shown
from nrray.models.strategies import Strategy
from nrray.models.strategies.judged import CAPTION_NAME
from nrray.pipelines.on_ray.session import ray_session
from nrray.pipelines.probe.document import PROBE_FILE, Calibration, ProbeDocument, YesRates
from nrray.pipelines.probe.job import ProbeConfig
from nrray.pipelines.relabel.job import RelabelConfig
from nrray.pipelines.relabel.run import RelabelOptions, relabel
from nrray.results.domain import OutsideDomain
from nrray.results.publish import ANSWERS_FILE
from nrray.storage import Folder, read_table

MANIFEST_FILE = "manifest.parquet"
REWORDED = "reworded"


@dataclass(frozen=True, kw_only=True)
class Probed:
    """A written probe. has_failures: whether units of some run failed."""

    folder: str
    document: ProbeDocument
    has_failures: bool


def probe(config: ProbeConfig, reporter: Reporter, *, allow_remote: bool = False) -> Probed:
    """Label, measure and write probe.json. allow_remote: whether frames may be sent to a server outside the house. Raises
    ConfigError, DataError, ModelError, and whatever relabel raises."""
    label_set = read_label_set(config.label_set)
    reference = read_labelling(config.reference, activities=label_set.names)
    cases = read_cases(config.cases)
    output = Folder(config.output)
    refuse_other_output(output, "probe")
    wanted, notes = _wanted_cases(config, reference, cases)
    manifest = _manifest_of(config, reference, cases, wanted)
    checkpoint = resolve_model(config.strategy, config.model, allow_remote=allow_remote)
    strategy = resolve_strategy(config.strategy, checkpoint, label_set)
    other = strategy.reworded(checkpoint, label_set) if config.rewords else None
    output.create()
    keep_record(output, "probe", config)
    output.write_table(MANIFEST_FILE, manifest)
    runs: dict[str, tuple[Shown, Strategy]] = {
        shown.value: (shown, strategy) for shown in (Shown.FILMED, *config.conditions)
    }
    if other is not None:
        runs[REWORDED] = (Shown.FILMED, other)
    options = RelabelOptions(allow_remote=allow_remote)
    has_failures = False
    with ray_session():
        for number, (name, (shown, asked)) in enumerate(runs.items()):
            reporter.say(f"{number + 1}/{len(runs)} {name}")
            found = relabel(_relabel_config(config, output, name, shown, asked), options, reporter)
            has_failures |= found.has_failures
    alignments = _alignments(output, list(runs), reference, label_set, cases, wanted)
    document = _document(config, output, alignments, label_set, strategy, notes)
    output.write_json(PROBE_FILE, document.model_dump(mode="json"))
    return Probed(folder=str(output), document=document, has_failures=has_failures)


def _wanted_cases(config: ProbeConfig, reference: Labelling, cases: Cases) -> tuple[frozenset[str], list[str]]:
    """The cases that are probed, with notes. Raises DataError."""
    known = sorted(set(cases.case_ids(reference.paths)))
    notes = input_notes([reference], cases, sidecar=config.cases)
    if config.split is not None:
        part = read_split_part(config.split, config.part, labellings=[reference], cases=cases)
        notes.append(read_note(part, purpose="probe a model"))
        known = sorted(part.case_ids & set(known))
    if config.max_cases is not None and len(known) > config.max_cases:
        drawn = np.random.default_rng(config.seed).permutation(len(known))[: config.max_cases]
        notes.append(f"{config.max_cases} of {len(known)} cases, drawn by seed {config.seed}.")
        known = [known[i] for i in sorted(drawn.tolist())]
    return frozenset(known), notes + few_cases_notes(len(known))


def _manifest_of(config: ProbeConfig, reference: Labelling, cases: Cases, wanted: frozenset[str]) -> pa.Table:
    """The manifest's rows of the wanted cases that the reference has examined. Raises DataError where there are none."""
    manifest = read_table(config.manifest)
    check_manifest(manifest, name=config.manifest)
    examined = set(reference.paths)
    is_wanted = [path in examined and cases.case_of(path) in wanted for path in manifest["path"].to_pylist()]
    found = manifest.filter(pa.array(is_wanted, pa.bool_()))
    if not found.num_rows:
        ours, theirs = (", ".join(map(repr, paths[:2])) for paths in (manifest["path"].to_pylist(), reference.paths))
        raise DataError(
            f"{config.manifest} has no video of the {len(wanted)} cases that {config.reference} looked at: it has {ours}, the "
            f"reference {theirs}. Give the manifest and the reference of one archive."
        )
    return found


def _relabel_config(config: ProbeConfig, output: Folder, name: str, shown: Shown, strategy: Strategy) -> RelabelConfig:
    settings = {key: getattr(config, key) for key in RelabelConfig.model_fields}
    changed = {
        "manifest": output.path(MANIFEST_FILE),
        "output": output.path(name),
        "shown": shown,
        "strategy": strategy,
        "outside_domain": OutsideDomain.LABEL,  # what a model says of frames that it does not know is what is asked
    }
    return RelabelConfig.model_validate({**settings, **changed})


def _alignments(
    output: Folder,
    names: Sequence[str],
    reference: Labelling,
    label_set: LabelSet,
    cases: Cases,
    wanted: frozenset[str],
) -> dict[str, Alignment]:
    """Every run against the reference, over the windows that all of them have labels of."""
    found = {name: read_labelling(output.path(name), activities=label_set.names) for name in names}
    shared = shared_time([*found.values(), reference], cases, only_cases=wanted)
    return {
        name: aligned(labelling, reference, shared, activities=label_set.activities, cases=cases)
        for name, labelling in found.items()
    }


def _document(
    config: ProbeConfig,
    output: Folder,
    alignments: dict[str, Alignment],
    label_set: LabelSet,
    strategy: Strategy,
    notes: Sequence[str],
) -> ProbeDocument:
    filmed = alignments[Shown.FILMED.value]
    figures = hallucination(filmed, label_set)
    assert figures is not None  # labels of relabel have windows
    return ProbeDocument(
        schema_version=ProbeDocument.newest_version,
        candidate=filmed.candidate,
        settings=config,
        strategy=strategy.kind,
        num_cases=len(filmed.cases),
        num_windows=len(filmed.windows.case),
        hallucination=figures,
        shown={shown: _yes_rates(alignments[shown.value], label_set) for shown in (Shown.FILMED, *config.conditions)},
        contradiction=_contradiction(filmed, alignments[REWORDED]) if REWORDED in alignments else None,
        captions=_captions(output / Shown.FILMED.value, filmed, label_set),
        calibration=_calibration(filmed),
        notes=(*notes, *filmed.unlabelled_notes),
    )


def _yes_rates(alignment: Alignment, label_set: LabelSet) -> dict[str, YesRates]:
    figures = hallucination(alignment, label_set)
    assert figures is not None
    rates = yes_rates(alignment)
    return {
        row.activity: YesRates(
            where_present=rates[row.activity][0], where_absent=rates[row.activity][1], unparsed=row.unparsed
        )
        for row in figures.activities
    }


def _contradiction(first: Alignment, second: Alignment) -> dict[str, Value]:
    """Of the windows that both have: one of them may lack some that failed."""
    ours, theirs = (dict(zip(_keys(each), range(len(each.windows.case)), strict=True)) for each in (first, second))
    both = [key for key in ours if key in theirs]
    assert first.windows.states is not None
    assert second.windows.states is not None
    values = contradiction(
        first.windows.states[[ours[key] for key in both]],
        second.windows.states[[theirs[key] for key in both]],
        first.windows.case[[ours[key] for key in both]],
        len(first.cases),
    )
    return {
        name: value
        for name, value, is_labelled in zip(first.activities, values, first.is_labelled, strict=True)
        if is_labelled
    }


def _captions(labels: Folder, alignment: Alignment, label_set: LabelSet) -> CaptionHallucination | None:
    """What the captions of the windows claim; where a window has several, what any of them does."""
    version = labels / "latest"
    if not version.exists(ANSWERS_FILE):
        return None
    answers = version.read_table(ANSWERS_FILE)
    is_caption = pc.match_substring_regex(answers["question"].cast(pa.string()), rf"^{CAPTION_NAME}($|:|#)")
    columns = (answers.filter(is_caption)[name].to_pylist() for name in ("path", "start_us", "answer"))
    claimed: dict[tuple[str, int], NDArray[np.bool_]] = {}
    nothing = np.zeros(len(label_set.names), bool)
    for path, start, answer in zip(*columns, strict=True):
        claimed[path, start] = claimed.get((path, start), nothing) | np.array(label_set.claimed(answer), bool)
    if not claimed:
        return None
    windows = alignment.windows
    kept = [row for row, key in enumerate(_keys(alignment)) if key in claimed]
    found = np.array([claimed[key] for key in _keys(alignment) if key in claimed], bool)
    return caption_hallucination(
        Mentions(claimed=found & alignment.is_labelled, reference=windows.reference[kept], case=windows.case[kept]),
        alignment.activities,
        len(alignment.cases),
    )


def _keys(alignment: Alignment) -> list[tuple[str, int]]:
    windows = alignment.windows
    return [
        (alignment.paths[video], start)
        for video, start in zip(windows.video.tolist(), windows.start_us.tolist(), strict=True)
    ]


def _calibration(alignment: Alignment) -> dict[str, Calibration]:
    if not alignment.has_scores:
        return {name: Calibration(brier=None, error=None) for name in alignment.activities}
    values = measures_of(alignment).values
    return {
        name: Calibration(brier=value_of(values["windows brier"][:, i]), error=value_of(values["windows ece"][:, i]))
        for i, name in enumerate(alignment.activities)
    }
