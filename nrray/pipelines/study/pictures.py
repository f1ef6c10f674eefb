"""The pictures of a study, from its figures."""

from nrray.evaluate.chance_baselines import Baseline
from nrray.evaluate.score_curves import ReliabilityBin
from nrray.pipelines.study.document import StudyDocument
from nrray.pipelines.study.tables import ranked
from nrray.report.study_pictures import F1Panel, ReliabilityPanel, RowF1, f1_picture, reliability_picture
from nrray.storage import Folder
from nrray.wording import counted

F1_PICTURE, RELIABILITY_PICTURE = "f1.png", "reliability.png"


def write_pictures(output: Folder, document: StudyDocument) -> None:
    """F1 of all rows; reliability, where a row has scores. Raises StorageError."""
    output.write_bytes(F1_PICTURE, _f1_picture(document))
    picture = _reliability_picture(document)
    if picture is not None:
        output.write_bytes(RELIABILITY_PICTURE, picture)
    else:
        output.remove(RELIABILITY_PICTURE)


def _f1_picture(document: StudyDocument) -> bytes:
    macro, *_ = document.scopes
    always_yes = document.baselines.get(Baseline.ALWAYS_YES, {})
    panels = [
        F1Panel(
            name="macro" if scope == macro else scope,
            rows={
                row.name: None if (f1 := row.f1[scope]).estimate is None else RowF1(f1.estimate, f1.low, f1.high)
                for row in ranked(document)
            },
            chance=always_yes.get(scope),
        )
        for scope in document.scopes
    ]
    return f1_picture(
        panels, title=f"F1 of windows over {counted(document.num_cases, 'test case')}, natural prevalence"
    )


def _reliability_picture(document: StudyDocument) -> bytes | None:
    """None where no row has scores."""
    scored = [(row.name, row.reliability) for row in ranked(document) if row.reliability is not None]
    panels = [
        ReliabilityPanel(name=activity, rows={name: _points(bins[activity]) for name, bins in scored})
        for activity in document.macro_activities
    ]
    return reliability_picture(panels, title="Scores as probabilities, of the first seed") if scored else None


def _points(bins: tuple[ReliabilityBin, ...]) -> list[tuple[float, float]]:
    return [
        (each.mean_score, each.observed) for each in bins if each.mean_score is not None and each.observed is not None
    ]
