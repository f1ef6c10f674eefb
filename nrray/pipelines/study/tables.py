"""The table of a study: for the console, and as Markdown, LaTeX and Parquet."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from nrray.evaluate.figure_text import interval, number
from nrray.metrics.jackknife import Value
from nrray.pipelines.study.document import RowFigures, StudyDocument

_LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"} | {
    sign: f"\\{sign}" for sign in "&%$#_{}"
}


def header(document: StudyDocument) -> list[str]:
    """Names of the columns, those of the macro average and the activities among them."""
    _, *activities = document.scopes
    return [
        "row",
        "seeds",
        "macro F1",
        *(f"F1 {name}" for name in activities),
        "claimed without it",
        "broken rules",
        "unparsed",
        "calibration error",
        "balanced macro F1",
        "windows/s",
        "labeling h",
        "training h",
        "trained weights",
        "MiB",
    ]


def cells(document: StudyDocument) -> list[list[str]]:
    """A row of text for each row of the study, the one with the highest macro average first."""
    return [_cells(row, document) for row in ranked(document)]


def ranked(document: StudyDocument) -> list[RowFigures]:
    """The rows, the highest macro average first."""
    macro = document.scopes[0]
    return sorted(document.rows, key=lambda row: -1.0 if (f1 := row.f1[macro].estimate) is None else f1, reverse=True)


def _cells(row: RowFigures, document: StudyDocument) -> list[str]:
    macro, *activities = document.scopes
    costs, wanted = row.costs, document.macro_activities
    spread = f", seeds {min(row.macro_by_seed):.2f}-{max(row.macro_by_seed):.2f}" if len(row.macro_by_seed) > 1 else ""
    return [
        row.name,
        str(len(row.seeds) or 1),
        f"{interval(row.f1[macro], 2, '-')}{spread}",
        *(interval(row.f1[name], 2, "-") for name in activities),
        number(_mean([row.false_yes[name] for name in wanted]), 2),
        number(row.broken_rules, 2),
        f"{row.unparsed:.1%}",
        "-" if row.calibration_error is None else number(_mean([row.calibration_error[name] for name in wanted]), 2),
        number(row.balanced_macro_f1, 2),
        number(costs.windows_per_second, 1),
        number(costs.labeling_hours, 2),
        number(costs.training_hours, 2),
        "-" if costs.trained_parameters is None else f"{costs.trained_parameters / 1e6:.2f} M",
        number(costs.size_mib, 0),
    ]


def _mean(values: Sequence[Value]) -> float | None:
    """Of those that are defined; None where none is."""
    known = [value.estimate for value in values if value.estimate is not None]
    return sum(known) / len(known) if known else None


def markdown(document: StudyDocument) -> str:
    """The table and the answer as Markdown."""
    names = header(document)
    lines = [names, ["---"] * len(names), *cells(document)]
    table = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
    return "\n\n".join((*document.answer, table, caption(document))) + "\n"


def latex(document: StudyDocument) -> str:
    """The table as a LaTeX tabular of the package booktabs."""
    names = header(document)
    rows = [" & ".join(map(_escaped, line)) + r" \\" for line in (names, *cells(document))]
    return "\n".join(
        [
            f"% {caption(document)}",
            rf"\begin{{tabular}}{{{'l' * len(names)}}}",
            r"\toprule",
            rows[0],
            r"\midrule",
            *rows[1:],
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def caption(document: StudyDocument) -> str:
    """What the columns are."""
    macro = document.scopes[0]
    return (
        f"F1 of windows at natural prevalence, {macro}, {document.num_cases} test cases, {document.hours:.2f} h, 95 % intervals "
        f"over cases; rows with several seeds are means over them. Claimed without it: windows without an activity that are "
        f"claimed to have it, mean over these activities. Balanced: the study's class-balanced subset, which flatters."
    )


def parquet_rows(document: StudyDocument) -> pa.Table:
    """A row per row of the study and scope, with all its numbers."""
    rows: list[dict[str, Any]] = []
    for row in document.rows:
        for scope, value in row.f1.items():
            rows.append(
                {
                    "row": row.name,
                    "model": row.model,
                    "strategy": row.strategy,
                    "num_seeds": len(row.seeds) or 1,
                    "scope": scope,
                    "f1": value.estimate,
                    "f1_low": value.low,
                    "f1_high": value.high,
                    "false_yes": row.false_yes[scope].estimate if scope in row.false_yes else None,
                    "unparsed_share": row.unparsed,
                    "unsure_share": row.unsure,
                    "windows_per_second": row.costs.windows_per_second,
                    "labeling_hours": row.costs.labeling_hours,
                    "training_hours": row.costs.training_hours,
                    "trained_parameters": row.costs.trained_parameters,
                    "size_mib": row.costs.size_mib,
                }
            )
    return pa.Table.from_pylist(rows)


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(char, char) for char in text)
