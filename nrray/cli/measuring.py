"""The verbs that measure labels: evaluate, compare, split."""

import shlex
from dataclasses import asdict

from nrray.cli.options import ConfigArgument, JsonOption, SetOption

_PRINTED = {
    "precision": "windows precision",
    "recall": "windows recall",
    "F1": "windows f1",
    "time F1": "time f1",
    "segment F1@0.5": "segments f1 at tIoU 0.5",
}


def evaluate(config: ConfigArgument = None, set_: SetOption = None, as_json: JsonOption = False) -> None:
    """Measure one set of labels against another, per activity, with intervals over cases; write a report."""
    from nrray.config import load_config
    from nrray.console.reporter import Reporter
    from nrray.evaluate.config import EvaluateConfig
    from nrray.evaluate.run import DOCUMENT, PAGE
    from nrray.evaluate.run import evaluate as run_evaluate
    from nrray.report.evaluation_page import interval, number

    settings = load_config(EvaluateConfig, config, set_ or ())
    reporter = Reporter(is_json=as_json)
    result = run_evaluate(settings)
    document = result.document
    reporter.say(
        f"{document['candidate']} against {document['reference']}: {document['num_cases']} cases, "
        f"{document['hours']:.2f} h and {document['num_windows']:,} windows that both looked at"
    )
    for note in document["notes"]:
        reporter.say(note)
    reporter.table(
        "Windows at natural prevalence, time, segments: estimate and 95 % interval over cases",
        ["activity", "cases", *_PRINTED],
        [
            [
                row["name"],
                row["num_cases_with"],
                *(interval(row["values"].get(metric), 2, "-") for metric in _PRINTED.values()),
            ]
            for row in document["rows"]
        ],
    )
    if document["balanced"] is not None:
        rows = document["balanced"]["rows"]
        reporter.table(
            f"The study's class-balanced subset, {document['balanced']['num_windows']} windows: it flatters",
            ["activity", "windows with it", "precision", "recall", "F1"],
            [
                [name, row["support"], *(number(row[key], 2) for key in ("precision", "recall", "f1"))]
                for name, row in rows.items()
            ],
        )
    reporter.say(f"Report:  {result.folder}/{PAGE}")
    reporter.say(f"Numbers: {result.folder}/{DOCUMENT}")
    reporter.finish(document)


def compare(config: ConfigArgument = None, set_: SetOption = None, as_json: JsonOption = False) -> None:
    """Compare several sources of labels on the same cases, and say what may be claimed."""
    from nrray.config import load_config
    from nrray.console.reporter import Reporter
    from nrray.evaluate.config import CompareConfig
    from nrray.evaluate.run import compare as run_compare
    from nrray.report.evaluation_page import interval, number

    settings = load_config(CompareConfig, config, set_ or ())
    reporter = Reporter(is_json=as_json)
    found = run_compare(settings)
    reporter.say(f"{found.num_cases} cases, {found.hours:.2f} h that all sources and the reference looked at")
    for note in found.notes:
        reporter.say(note)
    whats = list(next(iter(found.values.values())))
    headers = ["macro", *whats[1:]]
    reporter.table(
        f"{found.metric}, 95 % interval over cases; {whats[0]}",
        ["source", *headers],
        [
            *([name, *(interval(asdict(mine[what]), 2, "-") for what in whats)] for name, mine in found.values.items()),
            *([name, *(number(mine[what], 2) for what in whats)] for name, mine in found.baselines.items()),
        ],
    )
    reporter.table(
        "Krippendorff's alpha of all sources and the reference, over time",
        ["activity", "alpha"],
        [[name, alpha] for name, alpha in found.alpha.items()],
    )
    reporter.table(
        "Differences on the same cases, intervals adjusted for their number",
        ["first - second", "of", "difference", "adjusted for"],
        [
            [
                f"{row.first} - {row.second}",
                "macro" if row.what == whats[0] else row.what,
                interval(asdict(row.value)),
                row.num_adjusted_for,
            ]
            for row in found.differences
        ],
    )
    for sentence in found.sentences:
        reporter.say(sentence)
    reporter.finish(asdict(found))


def split(config: ConfigArgument = None, set_: SetOption = None, as_json: JsonOption = False) -> None:
    """Deal cases to train, validation and test, evenly by activity and site; write a plain file."""
    from nrray.config import load_config
    from nrray.console.reporter import Reporter
    from nrray.evaluate.config import SplitConfig
    from nrray.evaluate.run import split as run_split

    settings = load_config(SplitConfig, config, set_ or ())
    reporter = Reporter(is_json=as_json)
    dealt = run_split(settings)
    columns = list(next(iter(dealt.shares.values()), {}))
    reporter.table(
        "Share of the cases of each part that have it",
        ["part", "cases", *columns],
        [
            [part, len(dealt.split.parts[part]), *(row[column] for column in columns)]
            for part, row in dealt.shares.items()
        ],
    )
    for part, cases in dealt.split.parts.items():
        if not cases and settings.fractions[part]:
            reporter.say(f"{part} has no case: there are too few for {settings.fractions[part]:.0%} of them")
    reporter.say(f"Split: {dealt.path}. It is a plain file: edit it if you know better.")
    reporter.next_command(f"nrray evaluate --set split={shlex.quote(dealt.path)} --set part=test ...")
    reporter.finish({"path": dealt.path, "parts": dealt.split.parts, "shares": dealt.shares})
