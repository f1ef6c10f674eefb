"""The output folder of a training: its trained model, its metrics, its failure."""

import pytest

from nrray import errors
from nrray.errors import DataError, DecodeError, ErrorKind, NrrayError, TrainingError
from nrray.storage import Folder
from nrray.train.failure import TrainingFailure, failure_of, read_failure, write_failure
from nrray.train.output import (
    METRICS_FILE,
    CrossFitted,
    Estimate,
    TrainingMetrics,
    is_adapter_folder,
    read_metrics,
    trained_model_folder,
)

COUNTS = {"num_train_windows": 406, "num_validation_windows": 116, "steps": 26, "num_steps": 26, "best_step": 26}
ESTIMATE = Estimate(estimate=0.534, low=0.44, high=0.612)
METRICS = TrainingMetrics(
    **COUNTS,
    chosen_macro_f1=0.9636,
    validation=CrossFitted(num_cases=6, macro_f1=ESTIMATE, f1={"suction": ESTIMATE}),
)


def test_metrics_are_read_as_they_were_written(tmp_path):
    Folder(str(tmp_path)).write_json(METRICS_FILE, METRICS.model_dump(mode="json"))
    assert read_metrics(tmp_path) == METRICS


@pytest.mark.parametrize("macro", [0.9636, None])
def test_metrics_of_the_release_before_are_read_without_an_honest_figure(tmp_path, macro):
    Folder(str(tmp_path)).write_json(METRICS_FILE, {**COUNTS, "best_validation_macro_f1": macro})
    assert read_metrics(tmp_path) == TrainingMetrics(**COUNTS, chosen_macro_f1=macro, validation=None)


def test_an_estimate_is_written_with_its_interval():
    assert str(ESTIMATE) == "0.53 (0.44 to 0.61)"
    assert str(Estimate(estimate=0.5, low=None, high=None)) == "0.50"
    assert str(Estimate(estimate=None, low=None, high=None)) == "-"


def test_metrics_that_lack_a_number_are_an_error(tmp_path):
    Folder(str(tmp_path)).write_json(METRICS_FILE, METRICS.model_dump(mode="json", exclude={"steps"}))
    with pytest.raises(DataError, match=r"metrics.json of .* lacks steps"):
        read_metrics(tmp_path)


def test_a_trained_model_is_an_adapter_or_a_whole_model(tmp_path):
    assert trained_model_folder(tmp_path) is None
    (tmp_path / "model").mkdir()
    assert trained_model_folder(tmp_path) == tmp_path / "model"
    assert not is_adapter_folder(tmp_path / "model")
    (tmp_path / "adapter").mkdir()
    assert trained_model_folder(tmp_path) == tmp_path / "adapter"
    assert is_adapter_folder(str(tmp_path / "adapter"))


def test_a_failure_is_raised_again_as_the_error_that_it_was(tmp_path):
    output = Folder(str(tmp_path))
    assert read_failure(output) is None
    write_failure(output, failure_of(TrainingError("the loss is no number")))
    found = read_failure(output)
    assert str(found) == "TrainingError: the loss is no number"
    assert type(found.error()) is TrainingError
    assert str(found.error()) == "the loss is no number"


@pytest.mark.parametrize("kind", ["DecodeError", "ErrorKind", "annotations", "os"])
def test_a_failure_of_another_kind_is_an_error_all_the_same(kind):
    assert type(TrainingFailure(kind=kind, message="why").error()) is NrrayError
    assert failure_of(DecodeError(ErrorKind.EMPTY, "why")).kind in dir(errors)
