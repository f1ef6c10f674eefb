"""The report of `nrray probe` in words, and its page."""

from nrray.console.reporter import Reporter
from nrray.console.transcript import Transcript
from nrray.evaluate.figure_text import interval
from nrray.models.shown import Shown
from nrray.pipelines.probe.document import PROBE_FILE, ProbeDocument
from nrray.pipelines.probe.run import Probed
from nrray.report.run_page import RUN_PAGE_FILE, RunFile, RunPage

NOTHING_TO_SEE = (Shown.BLANK, Shown.FOREIGN)


def report_probe(probed: Probed, reporter: Reporter) -> None:
    """Tables of what is claimed without ground, then the sentence that is the answer."""
    document = probed.document
    for note in document.notes:
        reporter.say(note)
    figures = document.hallucination
    reporter.table(
        "As filmed: shares of windows with a plain answer, 95 % intervals over cases",
        [
            "activity",
            "windows",
            "yes-rate",
            "prevalence",
            "yes difference",
            "claimed without it",
            "claimed unseen",
            "not read",
            "unsure",
        ],
        [
            [
                row.activity,
                row.num_windows,
                *(
                    interval(value, 2, "-")
                    for value in (
                        row.yes_rate,
                        row.prevalence,
                        row.yes_difference,
                        row.false_yes,
                        row.unseen_yes,
                        row.unparsed,
                        row.unsure,
                    )
                ),
            ]
            for row in figures.activities
        ],
    )
    reporter.table(
        "Yes-rate by what is shown: windows whose video has the activity / has it not",
        ["activity", *(shown.value for shown in document.shown)],
        [
            [
                row.activity,
                *(
                    f"{interval(rates[row.activity].where_present, 2, '-')} / "
                    f"{interval(rates[row.activity].where_absent, 2, '-')}"
                    for rates in document.shown.values()
                ),
            ]
            for row in figures.activities
        ],
    )
    if document.contradiction is not None:
        reporter.table(
            "Windows that are answered otherwise in other words",
            ["activity", "share"],
            [[name, interval(value, 2, "-")] for name, value in document.contradiction.items()],
        )
    if document.captions is not None:
        reporter.table(
            f"Captions, {document.captions.num_captions:,} windows, by the label set's words (CHAIR)",
            ["claims that are denied", "captions with one", "activities left out"],
            [
                [
                    interval(value, 2, "-")
                    for value in (
                        document.captions.denied_claims,
                        document.captions.captions_with_denied,
                        document.captions.omitted,
                    )
                ]
            ],
        )
    if any(each.brier is not None for each in document.calibration.values()):
        reporter.table(
            "Scores: Brier score and calibration error in ten bins",
            ["activity", "Brier", "calibration error"],
            [
                [name, interval(each.brier, 3, "-"), interval(each.error, 3, "-")]
                for name, each in document.calibration.items()
            ],
        )
    if figures.broken_rules is not None:
        reporter.say(f"Windows whose claims cannot be true at once: {interval(figures.broken_rules, 3)}")
    reporter.say(probe_sentence(document))
    reporter.say(f"Numbers: {probed.folder}/{PROBE_FILE}")


def probe_sentence(document: ProbeDocument) -> str:
    """What is claimed most where there is nothing to see."""
    claims = [
        (rates.where_absent.estimate, activity, shown)
        for shown in document.shown
        if shown in NOTHING_TO_SEE
        for activity, rates in document.shown[shown].items()
        if rates.where_absent.estimate is not None
    ]
    if not claims:
        return "Nothing can be said of frames without anything to see: none were shown, or no answer was a plain yes or no."
    share, activity, shown = max(claims, key=lambda claim: claim[0])
    if share == 0:
        return f"Of {' and '.join(each.value for each in document.shown if each in NOTHING_TO_SEE)} frames nothing is claimed."
    return (
        f"Of {shown.value} frames, in which there is nothing to see, {activity} is claimed in {share:.0%} of the windows whose "
        f"video has it not either."
    )


def probe_page(probed: Probed, transcript: Transcript) -> RunPage:
    """The page of a probe, which leads to those of its runs."""
    document = probed.document
    return RunPage(
        title=f"Probe of {document.candidate}, {document.strategy}",
        outcome=probe_sentence(document),
        facts=[
            ("cases", f"{document.num_cases:,}"),
            ("windows", f"{document.num_windows:,}"),
            ("strategy", document.strategy),
            ("reference", document.settings.reference),
        ],
        transcript=transcript,
        files=[
            RunFile(file=PROBE_FILE, meaning="the same numbers for programs"),
            *(
                RunFile(file=f"{shown.value}/{RUN_PAGE_FILE}", meaning=f"the labels of {shown.value} frames")
                for shown in document.shown
            ),
        ],
    )
