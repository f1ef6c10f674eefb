"""The result of `nrray finetune --curve` in a table, a picture and sentences, with the next command."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nrray.console.reporter import Reporter
from nrray.console.transcript import Transcript
from nrray.evaluate.figure_text import interval, number
from nrray.labels import LabelSet
from nrray.metrics.jackknife import Value
from nrray.pipelines.finetune.curve.document import CURVE_FILE, CurveDocument, CurveScores
from nrray.pipelines.finetune.job import FinetuneConfig
from nrray.pipelines.finetune.report import relabel_command
from nrray.report.case_curves import CaseCurve, ScoreOfCases
from nrray.report.run_page import RunFile, RunPage, RunPicture
from nrray.train.examples import Examples

PICTURE_FILE = "curve.png"


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The result of one call. trained_model: of the largest number of cases; None, as the document, after a dry run."""

    output: str
    trained_model: Path | None
    document: CurveDocument | None

    @property
    def has_learned(self) -> bool:
        """Whether the training on most cases left a model to use. True after a dry run, which has nothing to say about that."""
        return self.document is None or self.document.points[-1].best_step > 0


def report_subsets(
    subsets: Sequence[Sequence[str]], examples: Sequence[Examples], label_set: LabelSet, reporter: Reporter
) -> None:
    """Print the cases and windows of each training, before any."""
    reporter.table(
        "Windows to train on, and those that show each activity",
        ["cases", "windows", *label_set.names, "with"],
        [
            [len(cases), len(mine), *mine.targets.sum(axis=0).tolist(), _listed(cases[len(before) :])]
            for before, cases, mine in zip([(), *subsets], subsets, examples, strict=False)
        ],
    )


def report_curve(result: Curve, config: FinetuneConfig, reporter: Reporter) -> None:
    """Print scores by number of cases, what may be claimed of them, the files, and the next command."""
    document = result.document
    if document is not None and result.trained_model is not None:
        _report_scores(document, reporter)
        for sentence in (*document.notes, *document.sentences):
            reporter.say(sentence)
        reporter.say(f"Curve:   {result.output}/{PICTURE_FILE}, {CURVE_FILE}")
        most = len(document.points[-1].cases)
        if result.has_learned:
            reporter.say(f"Model:   {result.trained_model}, of {most} cases")
            reporter.next_command(relabel_command(config, result.trained_model, labels=f"{result.output}-labels"))
        else:
            reporter.say(
                f"Nothing was learned of {most} cases: no step was better than none, and no model is left. Annotate more "
                f"cases, or try other parts and rates (nrray tune)."
            )
    reporter.finish(
        {
            "output": result.output,
            "trained_model": str(result.trained_model) if result.trained_model is not None else None,
            "curve": document.model_dump(mode="json", by_alias=True) if document is not None else None,
        }
    )


def curve_page(document: CurveDocument, transcript: Transcript, *, output: str) -> RunPage:
    """The page of a finished curve."""
    return RunPage(
        title=f"Would more cases help? {output}",
        outcome=" ".join(document.sentences),
        facts=[
            (
                "trainings",
                f"{len(document.points)}, of {', '.join(str(len(point.cases)) for point in document.points)} cases",
            ),
            ("test cases", f"{document.num_test_cases:,}"),
        ],
        transcript=transcript,
        pictures=[
            RunPicture(
                file=PICTURE_FILE,
                description="F1 over windows of the test part by number of training cases, with 95 % intervals",
            )
        ],
        files=[
            RunFile(file=CURVE_FILE, meaning="the same numbers for programs"),
            RunFile(file="curve", meaning="the trainings"),
        ],
    )


def _report_scores(document: CurveDocument, reporter: Reporter) -> None:
    names = list(document.points[-1].f1)
    rows: list[list[object]] = []
    if document.untuned is not None:
        rows.append(["untuned", None, None, None, *_cells(document.untuned, names)])
    for point in document.points:
        validation = interval(point.validation_macro_f1, 2, "-")
        rows.append([str(len(point.cases)), point.num_windows, point.steps, validation, *_cells(point, names)])
    chance = document.always_yes
    rows.append(
        ["always yes", None, None, None, *(number(value, 2) for value in (chance.macro_f1, *chance.f1.values()))]
    )
    reporter.table(
        f"F1 over windows of the test part, {document.num_test_cases} cases, and of validation, with 95 % intervals over cases",
        ["cases", "windows", "steps", "validation", "macro", *names],
        rows,
    )


def _cells(scores: CurveScores, names: Sequence[str]) -> list[str]:
    return [interval(value, 2, "-") for value in (scores.macro_f1, *(scores.f1[name] for name in names))]


def case_curves(document: CurveDocument) -> list[CaseCurve]:
    """The points that are drawn: of the macro average, then of each activity."""
    untuned, chance = document.untuned, document.always_yes
    by_size = {len(point.cases): point for point in document.points}
    macro = _case_curve(
        "macro average",
        {size: point.macro_f1 for size, point in by_size.items()},
        untuned=untuned.macro_f1 if untuned is not None else None,
        chance=chance.macro_f1,
    )
    return [
        macro,
        *(
            _case_curve(
                name,
                {size: point.f1[name] for size, point in by_size.items()},
                untuned=untuned.f1[name] if untuned is not None else None,
                chance=chance.f1[name],
            )
            for name in document.points[-1].f1
        ),
    ]


def _case_curve(name: str, values: Mapping[int, Value], *, untuned: Value | None, chance: float | None) -> CaseCurve:
    return CaseCurve(
        name=name,
        scores=[
            ScoreOfCases(num_cases=size, estimate=value.estimate, low=value.low, high=value.high)
            for size, value in values.items()
            if value.estimate is not None
        ],
        untuned=untuned.estimate if untuned is not None else None,
        chance=chance,
    )


def _listed(cases: Sequence[str], *, most: int = 3) -> str:
    """The first few of some cases."""
    rest = f", and {len(cases) - most} more" if len(cases) > most else ""
    return ", ".join(cases[:most]) + rest
