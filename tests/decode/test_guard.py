"""The guarded child: what it answers, and that every way of its dying is an error of one request."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress

import numpy as np
import psutil
import pytest

from nrray.decode import DecodeConfig, GuardedDecoder, probe_video, sample_frames
from nrray.errors import DecodeError, ErrorKind
from nrray.isolation import isolated_python
from tests.decode.asking import CONFIG, grid_request, numbers, request
from tests.videos import write_video

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")


def wait_until(holds, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.01)


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@contextmanager
def signalled_while_hanging(hanging, pid: int, number: signal.Signals):
    """Sends `pid` a signal once somebody waits for what the named pipe will bring, which is nothing."""
    writers: list[int] = []

    def has_reader() -> bool:
        with suppress(OSError):
            writers.append(os.open(hanging.uri, os.O_WRONLY | os.O_NONBLOCK))
        return bool(writers)

    sender = threading.Thread(target=lambda: (wait_until(has_reader), os.kill(pid, number)))
    sender.start()
    try:
        yield
    finally:
        sender.join()
        for writer in writers:
            os.close(writer)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("guard") / "video.mp4")


@pytest.fixture
def hanging(tmp_path):
    path = tmp_path / "hanging.mp4"
    os.mkfifo(path)
    return request(path, [0], end_us=1_000_000)


def error_of(call, *arguments) -> DecodeError:
    with pytest.raises(DecodeError) as caught:
        call(*arguments)
    return caught.value


def assert_works(guarded, video) -> None:
    assert numbers(guarded.sample(grid_request(video))) == [0, 6, 12, 18, 25, 31, 37, 43]


def test_the_child_answers_as_decoding_here_does(video):
    asked = grid_request(video)
    here = sample_frames(asked, CONFIG)
    with GuardedDecoder(CONFIG) as guarded:
        there = guarded.sample(asked)
        assert guarded.probe(str(video)) == probe_video(str(video), CONFIG)
        assert guarded.pid not in (None, os.getpid())
    assert (there.pixels == here.pixels).all()
    assert there.pts_us.tolist() == here.pts_us.tolist()
    assert there.frame_of_sample.tolist() == here.frame_of_sample.tolist()
    assert guarded.pid is None


def test_an_answer_says_why_samples_have_no_frame(video):
    asked = request(video, [0, 5_000_000], end_us=60_000_000)
    with GuardedDecoder(CONFIG) as guarded:
        frames = guarded.sample(asked)
    assert numbers(frames) == [0, None]
    assert frames.shortfall == sample_frames(asked, CONFIG).shortfall == "decoding stopped at 1.96 s of 60.00 s"


def test_a_large_answer_arrives_whole(video):
    asked = request(video, np.arange(0, 2_000_000, 40_000), end_us=2_000_000, size=(512, 384))
    with GuardedDecoder(CONFIG) as guarded:
        frames = guarded.sample(asked)
    assert frames.pixels.nbytes > 25_000_000
    assert numbers(frames) == list(range(50))


def test_the_child_keeps_nothing_of_what_it_has_answered(tmp_path):
    large = write_video(tmp_path / "large.mp4", size=(1280, 720), num_frames=12)
    asked, resident = grid_request(large), []
    with GuardedDecoder(CONFIG) as guarded:
        for _ in range(40):
            guarded.sample(asked)
            resident.append(psutil.Process(guarded.pid).memory_info().rss)
    assert (resident[-1] - resident[9]) / 2**20 < 10


def test_errors_keep_their_kind_and_the_child_lives_on(video, tmp_path):
    with GuardedDecoder(CONFIG) as guarded:
        assert error_of(guarded.probe, str(tmp_path / "none.mp4")).kind is ErrorKind.MISSING
        pid = guarded.pid
        assert_works(guarded, video)
        assert guarded.pid == pid


def test_a_hang_is_a_timeout_and_the_next_request_works(video, hanging):
    with GuardedDecoder(DecodeConfig(timeout_seconds=0.5)) as guarded:
        assert error_of(guarded.sample, hanging).kind is ErrorKind.DECODER_TIMEOUT
        assert_works(guarded, video)


def test_a_stopped_child_is_a_timeout_and_the_next_request_works(video):
    with GuardedDecoder(DecodeConfig(timeout_seconds=0.5)) as guarded:
        assert_works(guarded, video)
        os.kill(guarded.pid, signal.SIGSTOP)
        assert error_of(guarded.sample, grid_request(video)).kind is ErrorKind.DECODER_TIMEOUT
        assert_works(guarded, video)


def test_a_child_killed_in_flight_is_a_crash_that_names_the_signal(video, hanging):
    with GuardedDecoder(CONFIG) as guarded:
        assert_works(guarded, video)
        with signalled_while_hanging(hanging, guarded.pid, signal.SIGKILL):
            error = error_of(guarded.sample, hanging)
        assert error.kind is ErrorKind.DECODER_CRASHED
        assert "SIGKILL" in str(error)
        assert_works(guarded, video)


def test_the_end_of_what_a_child_says_before_it_crashes_is_in_the_message(video, hanging, monkeypatch):
    def that_tells_of_crashes(module):
        python, *arguments = isolated_python(module)
        return [python, "-X", "faulthandler", *arguments]

    monkeypatch.setattr("nrray.decode.guard.isolated_python", that_tells_of_crashes)
    with GuardedDecoder(CONFIG) as guarded:
        assert_works(guarded, video)
        with signalled_while_hanging(hanging, guarded.pid, signal.SIGSEGV):
            error = error_of(guarded.sample, hanging)
        assert error.kind is ErrorKind.DECODER_CRASHED
        assert "SIGSEGV" in str(error)
        assert "(total: " in str(error), "the end of what Python says of it: its extension modules"


def test_an_unexpected_error_is_that_of_one_request(video):
    with GuardedDecoder(CONFIG) as guarded:
        error = error_of(guarded.sample, request(video, [100_000, 0], end_us=2_000_000))
        pid = guarded.pid
        assert error.kind is ErrorKind.DECODE_FAILED
        assert "unexpected ValueError" in str(error)
        assert_works(guarded, video)
        assert guarded.pid == pid


@pytest.fixture
def ctrl_c():
    """Ctrl-C interrupts, children too, also where the tests run in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_an_interrupted_request_does_not_answer_the_next_one(video, hanging):
    with GuardedDecoder(DecodeConfig(timeout_seconds=20)) as guarded:
        assert_works(guarded, video)
        with signalled_while_hanging(hanging, os.getpid(), signal.SIGINT), pytest.raises(KeyboardInterrupt):
            guarded.sample(hanging)
        assert_works(guarded, video)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_is_for_the_parent_alone(video):
    with GuardedDecoder(CONFIG) as guarded:
        assert_works(guarded, video)
        pid = guarded.pid
        os.kill(pid, signal.SIGINT)
        assert_works(guarded, video)
        assert guarded.pid == pid


def test_what_a_library_prints_is_no_answer(video, tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        "def heard(event, arguments):\n"
        f"    if event == 'open' and arguments[0] == {str(video)!r}: os.write(1, b'a line of a library' + bytes(99))\n"
        "sys.addaudithook(heard)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with GuardedDecoder(CONFIG) as guarded:
        assert guarded.probe(str(video)) == probe_video(str(video), CONFIG)


def test_a_child_is_replaced_after_many_requests(video, monkeypatch):
    monkeypatch.setattr("nrray.decode.guard._MAX_REQUESTS_PER_CHILD", 3)  # the start is one
    pids = []
    with GuardedDecoder(CONFIG) as guarded:
        for _ in range(4):
            guarded.probe(str(video))
            pids.append(guarded.pid)
    assert pids[0] == pids[1] != pids[2] == pids[3]


def test_a_process_that_was_forked_starts_children_of_its_own(video):
    code = (
        "import os, signal, sys\n"
        "from nrray.decode import DecodeConfig, GuardedDecoder\n"
        f"with GuardedDecoder(DecodeConfig()) as first: first.probe({str(video)!r})\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    signal.alarm(60)\n"
        f"    with GuardedDecoder(DecodeConfig()) as second: second.probe({str(video)!r})\n"
        "    os._exit(0)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0


def test_a_child_killed_between_requests_is_replaced(video):
    with GuardedDecoder(CONFIG) as guarded:
        assert_works(guarded, video)
        os.kill(guarded.pid, signal.SIGKILL)
        wait_until(lambda: guarded.pid is None)
        assert_works(guarded, video)


def test_memory_above_the_limit_ends_the_child(video):
    with GuardedDecoder(DecodeConfig(max_memory_mib=16)) as guarded:
        error = error_of(guarded.sample, grid_request(video))
        assert error.kind is ErrorKind.DECODER_MEMORY
        assert "decode.max_memory_mib" in str(error)
        assert guarded.pid is None


def test_the_child_ends_with_its_parent(tmp_path):
    code = (
        "import sys, time\n"
        "from nrray.decode import DecodeConfig, GuardedDecoder\n"
        "from nrray.errors import DecodeError\n"
        "guarded = GuardedDecoder(DecodeConfig())\n"
        "try:\n    guarded.probe('/nowhere.mp4')\n"
        "except DecodeError:\n    print(guarded.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        pid = int(parent.stdout.readline())
        assert not is_gone(pid)
        parent.kill()
    wait_until(lambda: is_gone(pid))


def test_the_child_outlives_the_thread_that_asked_first(video):
    with GuardedDecoder(CONFIG) as guarded:
        first = threading.Thread(target=assert_works, args=(guarded, video))
        first.start()
        first.join()
        pid = guarded.pid
        assert pid is not None
        assert_works(guarded, video)
        assert guarded.pid == pid


def test_threads_that_share_a_guard_get_their_own_answers(tmp_path):
    paths = [write_video(tmp_path / f"{n}.mp4", num_frames=25 + n) for n in range(4)]
    asked = [request(path, [960_000 + 40_000 * n], end_us=1_000_000 + 40_000 * n) for n, path in enumerate(paths)]
    answers = {}
    with GuardedDecoder(CONFIG) as guarded:
        threads = [
            threading.Thread(target=lambda n=n: answers.update({n: numbers(guarded.sample(asked[n]))}))
            for n in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == {n: [24 + n] for n in range(4)}


def test_a_closed_guard_starts_again_when_asked(video):
    guarded = GuardedDecoder(CONFIG)
    assert_works(guarded, video)
    guarded.close()
    assert_works(guarded, video)
    guarded.close()
