"""Errors of nrray are found behind those of Ray; of others, one line is left."""

from ray.exceptions import RayTaskError, UserCodeException, WorkerCrashedError

from nrray.errors import ConfigError, DataError
from nrray.pipelines.on_ray.ray_errors import RAY_ADVICE, error_of_ours, reason_of


def failed_task(cause: Exception) -> RayTaskError:
    return RayTaskError("work", "pages of\n  traceback\ntext", cause).as_instanceof_cause()


def test_an_error_of_nrray_is_the_one_that_the_task_raised():
    cause = ConfigError("output: no such disk")
    error = failed_task(cause)
    assert isinstance(error, ConfigError), "Ray lets it pass for its cause"
    assert error_of_ours(error) is cause


def test_it_is_found_behind_other_errors():
    cause = DataError("no rows")
    wrapper = UserCodeException("UDF failed")
    wrapper.__cause__ = failed_task(cause)
    late = WorkerCrashedError()
    late.__context__ = wrapper
    assert error_of_ours(late) is cause


def test_errors_that_name_each_other_come_to_an_end():
    first, second = ValueError("first"), ValueError("second")
    first.__context__, second.__context__ = second, first
    assert error_of_ours(first) is None


def test_advice_of_ray_is_left_out_of_the_message():
    cause = ConfigError(
        f"output: no such disk\nFailed to {RAY_ADVICE} after 1/1 attempts.\nTo change retry attempts, ..."
    )
    found = error_of_ours(failed_task(cause))
    assert str(found) == "output: no such disk"


def test_a_reason_is_the_class_and_the_last_line_that_is_no_traceback():
    assert reason_of(failed_task(ZeroDivisionError("division by zero"))) == "ZeroDivisionError: division by zero"
    assert reason_of(WorkerCrashedError()).startswith("WorkerCrashedError: The worker died unexpectedly")
    assert reason_of(failed_task(ValueError())) == "ValueError: no reason given"
