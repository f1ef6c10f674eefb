"""The pages of a run of `nrray evaluate` and `nrray compare`."""

from nrray.console.transcript import Transcript
from nrray.evaluate.comparison import COMPARISON_FILE, Comparison
from nrray.evaluate.document import EVALUATION_FILE, EvaluationDocument
from nrray.evaluate.page import PAGE_FILE
from nrray.evaluate.verdicts import verdict_sentence
from nrray.report.run_page import RunFile, RunPage

MAX_SENTENCES = 3  # of claims, as the outcome of a comparison


def evaluation_run_page(document: EvaluationDocument, transcript: Transcript) -> RunPage:
    """The page of an evaluation, which leads to its report."""
    return RunPage(
        title=f"{document.candidate} against {document.reference}",
        outcome=f"{verdict_sentence(document)}.",
        facts=[
            ("candidate", document.settings.candidate),
            ("reference", document.settings.reference),
            (
                "cases, videos",
                f"{document.num_cases:,}, {document.num_videos:,}; {document.hours:.2f} h that both looked at",
            ),
            ("windows", f"{document.num_windows:,}"),
            ("activities", ", ".join(document.activities)),
        ],
        transcript=transcript,
        files=[
            RunFile(file=PAGE_FILE, meaning="the report: every figure with its interval, plots, the worst cases"),
            RunFile(file=EVALUATION_FILE, meaning="the same numbers for programs"),
        ],
    )


def comparison_run_page(comparison: Comparison, transcript: Transcript) -> RunPage:
    """The page of a comparison."""
    sentences = comparison.sentences
    return RunPage(
        title=f"Comparison of {', '.join(comparison.values)}",
        outcome=" ".join(sentences)
        if len(sentences) <= MAX_SENTENCES
        else f"{len(sentences)} pairs of labellings: each has a sentence below.",
        facts=[
            *(
                (f"labelling {name}", uri)
                for name, uri in zip(comparison.values, comparison.settings.candidates, strict=True)
            ),
            ("reference", comparison.settings.reference),
            ("metric", comparison.metric),
            ("cases", f"{comparison.num_cases:,}, {comparison.hours:.2f} h that all looked at"),
        ],
        transcript=transcript,
        files=[RunFile(file=COMPARISON_FILE, meaning="the same numbers for programs")],
    )
