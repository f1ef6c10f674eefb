"""Sentences, curves and the next command of a fine-tuning."""

import json
from dataclasses import replace

import pytest

from nrray.console.progress import Progress
from nrray.console.reporter import Reporter
from nrray.pipelines.finetune.job import FinetuneConfig
from nrray.pipelines.finetune.progress import HistoryReport
from nrray.pipelines.finetune.report import (
    CURVES_FILE,
    Finetuned,
    finetune_page,
    learning_curves,
    relabel_command,
    report_finetune,
)
from nrray.report.run_page import write_run_page
from nrray.report.training_curves import training_curves
from nrray.storage import Folder
from nrray.train.doubts import overfitting
from nrray.train.history import StepMeasured, TrainingStarted, Validated, write_history
from nrray.train.output import CrossFitted, Estimate, TrainingMetrics
from nrray.train.training_plan import PlanDocument, TrainingFacts
from tests.report.pages import check_self_contained

METRICS = TrainingMetrics(
    num_train_windows=304,
    num_validation_windows=76,
    steps=57,
    num_steps=57,
    best_step=40,
    chosen_macro_f1=0.6944,
    validation=CrossFitted(
        num_cases=6,
        macro_f1=Estimate(estimate=0.5321, low=0.4402, high=0.6099),
        f1={"suction": Estimate(estimate=0.4, low=None, high=None)},
    ),
)


def config(**settings):
    return FinetuneConfig.model_validate(
        {"manifest": "m.parquet", "annotations": "a", "split": "s.json", "output": "out", **settings}
    )


def started(step, *, unix_seconds=0.0, **more):
    return TrainingStarted(step=step, num_steps=20, unix_seconds=unix_seconds, num_workers=1, **more)


def measured(step, *, unix_seconds=0.0, windows_per_second=4.0):
    return StepMeasured(
        step=step,
        num_steps=20,
        unix_seconds=unix_seconds,
        loss=0.5,
        learning_rate=2e-4,
        gradient_norm=1.0,
        windows_per_second=windows_per_second,
        seconds_left=30.0,
    )


def validated(step, macro, loss=0.25, *, unix_seconds=0.0):
    return Validated(
        step=step,
        num_steps=20,
        unix_seconds=unix_seconds,
        validation_loss=loss,
        validation_macro_f1=macro,
        validation_f1={"suction": macro, "ventilation": None},
    )


def lines(capsys):
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(("best_step", "steps"), [(0, 50), (40, 57)])
def test_a_training_that_learned_nothing_or_ended_early_says_so(best_step, steps, tmp_path, capsys):
    metrics = METRICS.model_copy(update={"best_step": best_step, "steps": steps})
    result = Finetuned(output=str(tmp_path), trained_model=tmp_path / "adapter", metrics=metrics, dropped={})
    report_finetune(result, config(), Reporter())
    printed = " ".join(capsys.readouterr().out.split())
    assert ("Nothing was learned: no step was better than none" in printed) is (best_step == 0)
    assert ("Next: nrray relabel" in printed) is (best_step > 0)
    assert ("Adapter: " in printed) is (best_step > 0)
    assert result.has_learned is (best_step > 0)
    assert ("Ended before its 57 steps" in printed) is (steps < 57)


@pytest.mark.parametrize(
    ("chosen", "tower", "advice"),
    [
        (1.0, "last_blocks", "put cases that it gets wrong into that part"),
        (0.6, "last_blocks", "Try other parts and rates"),
        (0.6, "frozen", "Let other parts of it learn, the tower first"),
    ],
)
def test_the_remedy_of_a_training_that_gained_nothing_is_one_that_is_left(chosen, tower, advice, tmp_path, capsys):
    facts = TrainingFacts(
        num_windows=300,
        num_cases=18,
        num_validation_cases=6,
        has_own_head=True,
        bytes_per_weight=4,
    )
    plan = PlanDocument(schema_version=1, facts=facts, reasons=(), parts={"tower": tower}, training={})
    metrics = METRICS.model_copy(update={"best_step": 0, "chosen_macro_f1": chosen})
    model = tmp_path / "adapter"
    result = Finetuned(output=str(tmp_path), trained_model=model, metrics=metrics, dropped={}, plan=plan)
    report_finetune(result, config(), Reporter())
    assert advice in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("has_own_head", "said"),
    [(False, "the head is still its random start"), (True, "embedded as it was stays the better model")],
)
def test_a_start_with_a_head_stays_the_better_model_where_nothing_was_learned(has_own_head, said, tmp_path, capsys):
    facts = TrainingFacts(
        num_windows=3000, num_cases=18, num_validation_cases=6, has_own_head=has_own_head, bytes_per_weight=4
    )
    plan = PlanDocument(schema_version=1, facts=facts, reasons=(), parts={"tower": "frozen"}, training={})
    metrics = METRICS.model_copy(update={"best_step": 0})
    result = Finetuned(output=str(tmp_path), trained_model=tmp_path, metrics=metrics, dropped={}, plan=plan)
    report_finetune(result, config(), Reporter(is_json=False))
    printed = " ".join(capsys.readouterr().out.split())
    assert said in printed
    assert "No adapter is left." in printed
    report_finetune(result, config(), Reporter(is_json=True))
    document = json.loads(capsys.readouterr().out)
    assert (document["has_learned"], document["trained_model"]) == (False, None)


def test_doubts_stand_at_the_end_too(tmp_path, capsys):
    rising = [measured(4), validated(4, 0.8, loss=0.2), replace(measured(20), loss=0.1), validated(20, 0.7, loss=0.5)]
    metrics = METRICS.model_copy(update={"num_train_windows": 120, "always_yes_macro_f1": 0.6})
    result = Finetuned(
        output=str(tmp_path),
        trained_model=tmp_path / "adapter",
        metrics=metrics,
        dropped={},
        overfitting=overfitting(rising),
    )
    report_finetune(result, config(), Reporter())
    printed = " ".join(capsys.readouterr().out.split())
    assert "Too little to train on: 120 windows" in printed
    assert "Overfitting: from step 4 to 20 the validation loss rose from 0.200 to 0.500, 2.5 times as much" in printed
    assert "The weights of step 40 are kept." in printed
    assert "no better than that of answering yes to every window, 0.60" in printed
    plain = replace(result, overfitting=None, metrics=METRICS.model_copy(update={"num_train_windows": 900}))
    report_finetune(plain, config(), Reporter())
    printed = capsys.readouterr().out
    assert not any(word in printed for word in ("Too little", "Overfitting", "every window"))


def test_activities_that_the_macro_average_is_not_of_are_named(tmp_path, capsys):
    missing = Estimate(estimate=None, low=None, high=None)
    assert METRICS.validation is not None
    shown = METRICS.validation.model_copy(update={"f1": {**METRICS.validation.f1, "stimulation": missing}})
    metrics = METRICS.model_copy(update={"validation": shown})
    result = Finetuned(output=str(tmp_path), trained_model=tmp_path / "adapter", metrics=metrics, dropped={})
    report_finetune(result, config(), Reporter())
    printed = " ".join(capsys.readouterr().out.split())
    assert "No window of the validation part shows stimulation: macro F1 is of the others alone" in printed


def test_the_honest_figure_comes_first_and_the_chosen_one_beside_it(tmp_path, capsys):
    result = Finetuned(output=str(tmp_path), trained_model=tmp_path / "adapter", metrics=METRICS, dropped={})
    report_finetune(result, config(), Reporter())
    printed = " ".join(capsys.readouterr().out.split())
    assert "best at step 40 on 76 windows of the validation part (6 cases)" in printed
    assert (
        "macro F1 0.53 (0.44 to 0.61) on validation, cross-fitted by case; 0.69 as chosen on it suction 0.40" in printed
    )
    older = Finetuned(
        output=str(tmp_path),
        trained_model=tmp_path / "adapter",
        metrics=METRICS.model_copy(update={"validation": None}),
        dropped={},
    )
    report_finetune(older, config(), Reporter())
    assert "macro F1 0.69 as chosen on it, which is too high" in " ".join(capsys.readouterr().out.split())


def test_the_page_has_the_honest_figure_the_speed_the_curves_and_what_was_dropped(tmp_path):
    output = Folder(str(tmp_path))
    history = [started(0), measured(10, unix_seconds=120.0), validated(20, 0.5, unix_seconds=240.0)]
    write_history(output, history)
    output.write_bytes(CURVES_FILE, training_curves(learning_curves(history), title="t"))
    (tmp_path / "adapter").mkdir()
    dropped = {"<b>chunk</b>": "the file is truncated"}
    result = Finetuned(output=str(tmp_path), trained_model=tmp_path / "adapter", metrics=METRICS, dropped=dropped)
    reporter = Reporter(is_json=True)
    report_finetune(result, config(), reporter)
    write_run_page(output, finetune_page(result, METRICS, reporter.transcript))
    page = check_self_contained((tmp_path / "index.html").read_text(), folder=tmp_path)
    assert "Macro F1 0.53 (0.44 to 0.61) on 6 cases of the validation part" in page.text
    assert "4 min of training, 4.0 windows per second" in page.text
    assert "<b>chunk</b>" in page.text
    assert "the file is truncated" in page.text
    assert "nrray relabel --set" in page.text
    assert [alt.split(":")[0] for _, alt in page.images] == ["Learning curves"]


def test_the_document_of_a_call_holds_the_metrics(tmp_path, capsys):
    result = Finetuned(output="out", trained_model=tmp_path / "model", metrics=METRICS, dropped={"a": "empty"})
    report_finetune(result, config(), Reporter(is_json=True))
    assert json.loads(capsys.readouterr().out) == {
        "output": "out",
        "trained_model": str(tmp_path / "model"),
        "metrics": METRICS.model_dump(),
        "dropped": {"a": "empty"},
        "has_learned": True,
        "overfitting": None,
        "plan": None,
        "expected_time": None,
    }


def test_the_next_command_names_the_checkpoint_only_beside_an_adapter_of_another_one(tmp_path):
    adapter, model = tmp_path / "adapter", tmp_path / "model"
    own = config(model={"path": "/models/vlm"}, label_set="set.yaml")
    assert relabel_command(config(), adapter, labels="l") == (
        f"nrray relabel --set manifest=m.parquet --set output=l --set model.adapter={adapter}"
    )
    assert f"--set label_set=set.yaml --set model.path=/models/vlm --set model.adapter={adapter}" in relabel_command(
        own, adapter, labels="l"
    )
    assert relabel_command(own, model, labels="l").endswith(f"--set label_set=set.yaml --set model.path={model}")


def test_curves_hold_steps_and_validations_and_mark_the_kept_step():
    history = [started(0), validated(0, 0.5), measured(10), validated(10, 0.8), started(10), validated(20, 0.7)]
    curves = learning_curves(history)
    assert curves.training_loss == [(10, 0.5)]
    assert curves.validation_loss == [(0, 0.25), (10, 0.25), (20, 0.25)]
    assert curves.macro_f1 == curves.f1["suction"] == [(0, 0.5), (10, 0.8), (20, 0.7)]
    assert curves.f1["ventilation"] == [(0, None), (10, None), (20, None)]
    assert curves.kept_step == 10


def test_before_any_validation_there_are_no_curves():
    curves = learning_curves([started(0)])
    assert (curves.training_loss, curves.validation_loss, curves.f1, curves.kept_step) == ([], [], {}, None)


def test_events_of_an_earlier_call_and_events_made_again_are_not_reported(tmp_path, capsys):
    output = Folder(str(tmp_path))
    before = [started(0), validated(0, 0.5)]
    write_history(output, before)
    reporter = Reporter(is_verbose=True)
    steps = Progress(
        console=reporter.console, verb="train", total_units=20, total_us=0, unit="steps", quiet=True, line_seconds=1
    )
    report = HistoryReport(output, reporter, steps)
    report.report()
    assert lines(capsys) == []
    unreadable = ("step-00000012.safetensors (cut)",)
    write_history(output, [*before, started(10, unreadable_checkpoints=unreadable), validated(10, 0.8), measured(10)])
    report.report()
    assert lines(capsys) == [
        "checkpoint step-00000012.safetensors (cut) cannot be read; the one before it is taken",
        "training goes on at step 10 of 20",
        "step 10 of 20: validation macro F1 0.800 as fitted on it (suction 0.800, ventilation -), loss 0.2500",
        "step 10 of 20: loss 0.5000, learning rate 0.0002, 4.0 windows/s, 30 s left",
    ]
    again = [validated(10, 0.8, unix_seconds=9.0), measured(10, unix_seconds=9.0, windows_per_second=2.0)]
    write_history(output, [*before, started(10, unreadable_checkpoints=unreadable), *again])
    report.report()
    assert lines(capsys) == []
    write_history(output, [*before, *again, started(0, unix_seconds=10.0), measured(20)])
    report.report()
    assert lines(capsys) == ["training starts at step 0 of 20"]  # of steps there was a line just now
    assert steps.done_units == 20
    assert steps.note == "macro F1 0.800, loss 0.500"
