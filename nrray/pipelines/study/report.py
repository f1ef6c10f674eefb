"""A study in words, files and pages: the answer first, then the table, what may be claimed, costs, what was not checked."""

from nrray.console.reporter import Reporter
from nrray.console.transcript import Transcript
from nrray.evaluate.figure_text import interval, number
from nrray.evaluate.page import PAGE_FILE
from nrray.metrics.jackknife import Value
from nrray.pipelines.finetune.curve.report import PICTURE_FILE as CURVE_PICTURE
from nrray.pipelines.study.answer import gains_of
from nrray.pipelines.study.document import STUDY_FILE, StudyDocument
from nrray.pipelines.study.evaluations import EVALUATION
from nrray.pipelines.study.job import CURVE, ROWS, folder_name
from nrray.pipelines.study.pictures import F1_PICTURE, RELIABILITY_PICTURE, write_pictures
from nrray.pipelines.study.run import Studied
from nrray.pipelines.study.tables import caption, latex, markdown, parquet_rows, ranked
from nrray.report.run_page import Failure, RunFile, RunPage, RunPicture
from nrray.storage import Folder
from nrray.wording import counted

MARKDOWN_FILE, LATEX_FILE, PARQUET_FILE = "table.md", "table.tex", "rows.parquet"
NOT_CHECKED = (
    "Not checked: other archives than this one, other splits, settings that no row has. Rows were compared on "
    "the test part: what is chosen by it is a little too good on it."
)


def write_tables(studied: Studied) -> None:
    """Markdown, LaTeX, Parquet and pictures beside study.json. Raises StorageError."""
    output = Folder(studied.folder)
    output.write_bytes(MARKDOWN_FILE, markdown(studied.document).encode())
    output.write_bytes(LATEX_FILE, latex(studied.document).encode())
    output.write_table(PARQUET_FILE, parquet_rows(studied.document))
    write_pictures(output, studied.document)


def report_study(studied: Studied, reporter: Reporter) -> None:
    """The answer, tables that fit a terminal, claims, failed rows, notes."""
    document = studied.document
    for sentence in document.answer:
        reporter.say(sentence)
    macro, *activities = document.scopes
    wanted = document.macro_activities
    reporter.table(
        f"F1 of windows at natural prevalence, 95 % intervals over {counted(document.num_cases, 'test case')}; macro: "
        f"{macro.removeprefix('macro ')}",
        ["row", "seeds", "macro", *activities],
        [
            *(
                [row.name, len(row.seeds) or 1, *(interval(row.f1[scope], 2, "-") for scope in document.scopes)]
                for row in ranked(document)
            ),
            *(
                [baseline.value, 1, *(number(by_scope[scope], 2) for scope in document.scopes)]
                for baseline, by_scope in document.baselines.items()
            ),
        ],
    )
    reporter.table(
        "Claims without ground: windows without an activity that are claimed to have it; labels that could not be read or are "
        "unsure, which count as no",
        ["row", *wanted, "broken rules", "unparsed", "unsure"],
        [
            [
                row.name,
                *(interval(row.false_yes[name], 2, "-") for name in wanted),
                number(row.broken_rules, 2),
                f"{row.unparsed:.1%}",
                f"{row.unsure:.1%}",
            ]
            for row in ranked(document)
        ],
    )
    reporter.table(
        "Calibration error of scores; macro F1 on the class-balanced subset, as the study had it, and natural",
        ["row", *wanted, "balanced", "natural", "by choice of windows"],
        [
            [
                row.name,
                *(
                    "-" if (errors := row.calibration_error) is None else number(errors[name].estimate, 2)
                    for name in wanted
                ),
                number(row.balanced_macro_f1, 2),
                number(row.f1[macro].estimate, 2),
                "-"
                if row.balanced_macro_f1 is None or (natural := row.f1[macro].estimate) is None
                else f"{row.balanced_macro_f1 - natural:+.2f}",
            ]
            for row in ranked(document)
        ],
    )
    reporter.table(
        "Costs here: windows/s of one labeler, hours of all labelers and workers, weights that were trained, files to label with",
        ["row", "windows/s", "labeling h", "training h", "trained weights", "MiB"],
        [
            [
                row.name,
                number(row.costs.windows_per_second, 1),
                number(row.costs.labeling_hours, 2),
                number(row.costs.training_hours, 2),
                "-" if row.costs.trained_parameters is None else f"{row.costs.trained_parameters:,}",
                number(row.costs.size_mib, 0),
            ]
            for row in ranked(document)
        ],
    )
    if len(document.rows) > 1:
        best = ranked(document)[0].name
        num_pairs = len(document.rows) * (len(document.rows) - 1) // 2
        reporter.table(
            f"Macro F1 of {best!r} minus that of the row, paired over cases; intervals are adjusted for {num_pairs} comparisons",
            ["row", "difference", "what may be claimed of the row"],
            _differences(document, best),
        )
    for row in document.rows:
        for note in row.notes:
            reporter.say(f"{row.name!r}: {note}.")
    for name, reason in document.missing.items():
        reporter.say(f"{name!r} has no figures: {reason}")
    for note in (*document.notes, document.reads):
        reporter.say(note)
    reporter.say(NOT_CHECKED)
    reporter.say(f"Table:   {studied.folder}/{MARKDOWN_FILE}, {LATEX_FILE}, {PARQUET_FILE}")
    reporter.say(f"Numbers: {studied.folder}/{STUDY_FILE}, with every prompt and setting")


def _differences(document: StudyDocument, best: str) -> list[list[str]]:
    """Of the best row and each other one, in macro F1, and what may be claimed; all pairs stand in study.json."""
    gains = gains_of(best, document.scopes[0], document.differences)
    return [[row.name, *_claimed(gains[row.name])] for row in ranked(document) if row.name in gains]


def _claimed(value: Value) -> tuple[str, str]:
    if value.estimate is None:
        return "-", "nothing: it is not defined"
    if value.low is None or value.high is None:
        return f"{value.estimate:+.2f}", "nothing: these cases give no interval"
    is_claimed = "it is lower" if value.low > 0 else "it is higher" if value.high < 0 else "nothing"
    return f"{value.estimate:+.2f} ({value.low:+.2f} to {value.high:+.2f})", is_claimed


def study_page(studied: Studied, transcript: Transcript) -> RunPage:
    """The page of a study."""
    document = studied.document
    return RunPage(
        title=f"Study of {counted(len(document.rows), 'way')} to use a model",
        outcome=" ".join(document.answer),
        facts=[
            ("archive", document.settings.manifest),
            ("annotations", document.settings.annotations),
            (
                "test part",
                f"{counted(document.num_cases, 'case')}, {document.hours:.2f} h, of {document.settings.split}",
            ),
            ("seeds", ", ".join(map(str, document.settings.seeds))),
            ("columns", caption(document)),
        ],
        transcript=transcript,
        failures=[
            Failure(what=name, amount="row", kind="failed", reason=reason) for name, reason in studied.failures.items()
        ],
        num_failures=len(studied.failures),
        pictures=[
            RunPicture(file=F1_PICTURE, description="F1 of every row with its interval over test cases, by activity"),
            RunPicture(
                file=RELIABILITY_PICTURE,
                description="how often windows of a score have the activity, by row: on the diagonal a score is a probability",
            ),
            *(
                RunPicture(
                    file=f"{ROWS}/{folder_name(row.name)}/{CURVE}/{CURVE_PICTURE}",
                    description=f"{row.name}: F1 by number of training cases, with intervals",
                )
                for row in document.rows
            ),
        ],
        files=[
            *(
                RunFile(
                    file=f"{ROWS}/{folder_name(row.name)}/{EVALUATION}/{PAGE_FILE}",
                    meaning=f"{row.name}: by activity and case, worst moments, reliability, indicators",
                )
                for row in ranked(document)
            ),
            RunFile(file=MARKDOWN_FILE, meaning="the table as Markdown"),
            RunFile(file=LATEX_FILE, meaning="the table as LaTeX"),
            RunFile(file=PARQUET_FILE, meaning="the same numbers, a row per row and activity"),
            RunFile(file=STUDY_FILE, meaning="everything: settings, prompts word for word, differences of all pairs"),
            RunFile(file=ROWS, meaning="labels, trainings and curves, row by row"),
        ],
    )
