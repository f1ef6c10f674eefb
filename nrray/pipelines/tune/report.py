"""The result of `nrray tune` in a table and sentences, with the next command."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from nrray.console.progress import duration_text
from nrray.console.reporter import Reporter
from nrray.console.transcript import Transcript
from nrray.evaluate.figure_text import interval, number
from nrray.metrics.jackknife import Value
from nrray.pipelines.finetune.report import relabel_command
from nrray.pipelines.tune.effects import PARTS
from nrray.pipelines.tune.job import TuneConfig
from nrray.pipelines.tune.results import BEST, BEST_CONFIG, PICTURE_FILE, TABLE_FILE, Tuned
from nrray.pipelines.tune.trials import (
    DEFAULT,
    Trial,
    TrialStatus,
    best_by_value,
    saved_share,
    searched_paths,
    trial_text,
)
from nrray.report.run_page import MAX_FAILURES, Failure, RunFile, RunPage, RunPicture
from nrray.train.output import trained_model_folder


def report_tune(result: Tuned, config: TuneConfig, reporter: Reporter) -> None:
    """Print the trials, the best one with its score, the files, and the next command."""
    _report_trials(result.trials, reporter)
    best = result.best
    if best is not None:
        reporter.say(f"Best: {best.name}, {trial_text(best)}")
        if result.gain is not None:
            reporter.say(_gain_sentence(best, result.gain))
        for path in _parts_paths(result.trials):
            reporter.say(_parts_sentence(result.trials, path))
        if result.num_not_significantly_worse:
            reporter.say(
                f"On these validation cases {result.num_not_significantly_worse} of the other finished trials are not "
                f"significantly worse: any of them may be as good. More validation cases would tell them apart."
            )
        if result.test is not None:
            reporter.say(_test_sentence(result.test))
        reporter.say(f"Trials:  {result.output}/{TABLE_FILE}, {PICTURE_FILE}")
        trained_model = trained_model_folder(Path(result.output) / BEST)
        assert trained_model is not None  # it was just copied there
        reporter.say(f"Best:    {trained_model}; nrray finetune {result.output}/{BEST_CONFIG} trains it again")
        reporter.next_command(relabel_command(config, trained_model, labels=f"{result.output}-labels"))
    reporter.finish(
        {
            "output": result.output,
            "best": best.name if best is not None else None,
            "values": best.values if best is not None else None,
            "validation_macro_f1": best.macro_f1 if best is not None else None,
            "test_macro_f1": asdict(result.test) if result.test is not None else None,
            "gain_over_default": asdict(result.gain) if result.gain is not None else None,
            "best_by_part": {
                path: {value: trial.macro_f1 for value, trial in best_by_value(result.trials, path).items()}
                for path in _parts_paths(result.trials)
            },
            "num_not_significantly_worse": result.num_not_significantly_worse,
            "saved_share": saved_share(result.trials),
            "trials": {status.value: sum(t.status is status for t in result.trials) for status in TrialStatus},
        }
    )


def tune_page(result: Tuned, best: Trial, transcript: Transcript) -> RunPage:
    """The page of a search."""
    failed = [trial for trial in result.trials if trial.failure is not None]
    counts = {status: sum(trial.status is status for trial in result.trials) for status in TrialStatus}
    return RunPage(
        title=f"Search in {result.output}",
        outcome=f"Best: {best.name}, {trial_text(best)}: macro F1 of validation {number(best.macro_f1)}, "
        f"for which it was chosen.",
        facts=[
            ("trials", ", ".join(f"{count} {each.value.replace('_', ' ')}" for each, count in counts.items() if count)),
            ("time of training, of all trials", duration_text(sum(trial.seconds for trial in result.trials))),
            ("steps that pruning saved", f"{100 * saved_share(result.trials):.0f} %"),
        ],
        transcript=transcript,
        failures=[
            Failure(what=trial.name, amount="trial", kind=trial.failure.kind, reason=trial.failure.message)
            for trial in failed[:MAX_FAILURES]
            if trial.failure is not None
        ],
        num_failures=len(failed),
        pictures=[
            RunPicture(
                file=PICTURE_FILE,
                description="Macro F1 of validation over each searched setting, learning curves and minutes of every trial",
            )
        ],
        files=[
            RunFile(file=BEST, meaning="the best trial's model"),
            RunFile(file=BEST_CONFIG, meaning="a config that trains it again"),
            RunFile(file=TABLE_FILE, meaning="a row per trial"),
        ],
    )


def _report_trials(trials: list[Trial], reporter: Reporter) -> None:
    paths = searched_paths(trials)
    rows = [
        [
            trial.name,
            trial.status.value.replace("_", " "),
            trial_text(trial, paths),
            trial.macro_f1,
            f"{trial.steps} of {trial.num_steps}",
            f"{trial.seconds / 60:.1f}",
        ]
        for trial in trials
    ]
    if rows:
        reporter.table("Trials", ["trial", "", "settings", "validation macro F1", "steps", "min"], rows)
        reporter.say(f"Pruning saved {100 * saved_share(trials):.0f} % of all steps")
    for trial in trials:
        if trial.failure is not None:
            reporter.say(f"{trial.name} failed: {trial.failure}")


def _gain_sentence(best: Trial, gain: Value) -> str:
    if best.name == DEFAULT:
        return "No trial was better than the default, the config's own values."
    change = f"Best minus default, the config's own values: macro F1 {interval(gain)}"
    if gain.low is None or gain.high is None:
        return f"{change}; too few validation cases for an interval."
    if gain.low > 0:
        verdict = "better on these validation cases, among which it was chosen: expect less on others"
    else:
        verdict = "these validation cases do not tell it from the default"
    return f"{change}, adjusted for the number of trials; {verdict}."


def _parts_paths(trials: Sequence[Trial]) -> list[str]:
    return [path for path in searched_paths(trials) if path.startswith(PARTS)]


def _parts_sentence(trials: Sequence[Trial], path: str) -> str:
    each = (f"{value} {number(trial.macro_f1)} ({trial.name})" for value, trial in best_by_value(trials, path).items())
    return f"Best macro F1 of validation by {path}: {', '.join(each)}"


def _test_sentence(test: Value) -> str:
    is_interval = test.low is not None and test.high is not None
    interval = (
        f" ({test.low:.3f} to {test.high:.3f} over cases)" if is_interval else ", of too few cases for an interval"
    )
    return f"On the test part: macro F1 {test.estimate:.3f}{interval}"
