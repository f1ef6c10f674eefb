import signal
import threading
import time

import pytest

from nrray.clock import Clock
from nrray.errors import OutputBusyError, StorageError


@pytest.fixture
def clock():
    clock = Clock()
    clock.start()
    yield clock
    clock.stop(RuntimeError("the test is over"))


def test_every_action_is_called_at_its_own_pace_until_it_is_left(clock):
    fast, slow = [], []
    third = threading.Event()

    def fast_action():
        fast.append(time.monotonic())
        if len(fast) == 3:
            third.set()

    with clock.every(0.02, fast_action), clock.every(3600, lambda: slow.append(1)):
        assert third.wait(20)
    count = len(fast)
    assert not slow
    again = threading.Event()
    with clock.every(0.02, again.set):
        assert again.wait(20)
    assert len(fast) == count, "what was left is not called any more"


def test_leaving_an_action_waits_for_its_call_that_runs(clock):
    begun, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def action():
        begun.set()
        may_end.wait(20)
        ended.set()

    with clock.every(0.01, action):
        assert begun.wait(20)
        threading.Timer(0.05, may_end.set).start()
    assert ended.is_set()


def failed_clock(error):
    """A clock that was not started from the main thread, so that this is not interrupted, and whose action failed."""
    clock, failed = Clock(), threading.Event()
    starting = threading.Thread(target=clock.start)
    starting.start()
    starting.join()

    def action():
        failed.set()
        raise error

    with clock.every(0.01, action):
        assert failed.wait(20)
    return clock


def test_an_error_ends_the_clock_and_is_told_by_check_and_stop():
    before = threading.active_count()
    clock = failed_clock(StorageError("the store is gone"))
    with pytest.raises(StorageError, match="the store is gone"):
        clock.check()
    with pytest.raises(StorageError, match="the store is gone"):
        clock.stop(None)
    assert threading.active_count() == before


def raised_by_the_clock(error, *, body):
    """What a main thread that is busy with `body` ends with when an action raises `error`."""
    clock = Clock()
    clock.start()

    def action():
        raise error

    ended = None
    try:
        with clock.every(0.05, action):
            body()
    except BaseException as caught:
        ended = caught
    clock.stop(ended)


def test_a_main_thread_that_waits_is_interrupted_and_ends_with_the_error_of_the_clock():
    started = time.monotonic()
    with pytest.raises(OutputBusyError, match="taken over"):
        raised_by_the_clock(OutputBusyError("taken over"), body=lambda: time.sleep(60))
    assert time.monotonic() - started < 50
    with pytest.raises(ZeroDivisionError):
        raised_by_the_clock(ZeroDivisionError(), body=threading.Event().wait)


def test_a_signal_that_comes_just_before_the_wait_is_sent_again(monkeypatch):
    sent = []

    def lost_at_first(thread: int, number: int) -> None:
        sent.append(number)
        if len(sent) > 2:
            kill(thread, number)

    kill = signal.pthread_kill
    monkeypatch.setattr(signal, "pthread_kill", lost_at_first)
    started = time.monotonic()
    with pytest.raises(OutputBusyError, match="taken over"):
        raised_by_the_clock(OutputBusyError("taken over"), body=lambda: time.sleep(60))
    assert time.monotonic() - started < 50
    assert len(sent) == 3


def test_a_main_thread_that_cleans_up_is_not_interrupted_again():
    cleaned = []

    def body() -> None:
        try:
            time.sleep(60)
        finally:
            time.sleep(3)
            cleaned.append(True)

    with pytest.raises(OutputBusyError, match="taken over"):
        raised_by_the_clock(OutputBusyError("taken over"), body=body)
    assert cleaned == [True]


def test_an_error_of_the_main_thread_is_not_covered_up():
    clock = failed_clock(StorageError("the store is gone"))
    clock.stop(RuntimeError("the main thread's own"))  # raises nothing: that error is on its way
    with pytest.raises(StorageError):
        clock.stop(KeyboardInterrupt())


def test_a_process_that_ignores_interrupts_learns_of_the_error_when_it_looks():
    before = signal.getsignal(signal.SIGINT)
    clock = Clock()
    try:
        clock.start()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        failed = threading.Event()

        def action():
            failed.set()
            raise OutputBusyError("taken over")

        with clock.every(0.01, action):
            assert failed.wait(20)
        with pytest.raises(OutputBusyError):
            clock.stop(None)
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_interrupt_by_a_person_stays_one():
    clock = Clock()
    clock.start()
    clock.stop(KeyboardInterrupt())
    clock.check()
