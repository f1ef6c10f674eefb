"""A model check of leases: two runs on one store, in every order of their steps at the store, with any of them dead or asleep at
any step. No two hold the lease at once, and no unit is lost or written by one that has lost it for good."""

import itertools
import threading

import pytest

from nrray.errors import OutputBusyError
from nrray.lease import MARGIN, Lease, standing
from nrray.storage import Folder

SECONDS = 10.0


class Steps:
    """Runs that stop before each call of the store, until they are told to go on."""

    def __init__(self):
        self.now = 1000.0
        self.runs = {}

    def start(self, name, body):
        run = _Run(body)
        self.runs[name] = run
        run.thread.start()
        run.wait()
        return run

    def step(self, name):
        """One call of the store, and all that follows it up to the next."""
        run = self.runs[name]
        if run.is_over:
            return False
        run.go.release()
        run.wait()
        return True


class _Run:
    def __init__(self, body):
        self.go, self.stopped, self.is_over = threading.Semaphore(0), threading.Semaphore(0), False
        self.thread = threading.Thread(target=self._main, args=(body,), daemon=True)

    def _main(self, body):
        try:
            body(self)
        except OutputBusyError:
            pass
        finally:
            self.is_over = True
            self.stopped.release()

    def pause(self):
        self.stopped.release()
        self.go.acquire()

    def wait(self):
        assert self.stopped.acquire(timeout=20)


class SteppedFolder(Folder):
    """A store each of whose calls is a step of a run."""

    def __init__(self, uri, run):
        super().__init__(uri)
        self.run = run
        self.stepped = _SteppedFiles(super().filesystem, run)

    @property
    def filesystem(self):
        return self.stepped

    def names(self, suffix=""):
        self.run.pause()
        return super().names(suffix)

    def read_bytes(self, name):
        self.run.pause()
        return super().read_bytes(name)

    def write_bytes(self, name, data, *, durable=True):
        self.run.pause()
        super().write_bytes(name, data, durable=durable)

    def remove(self, name):
        self.run.pause()
        super().remove(name)


class _SteppedFiles:
    def __init__(self, files, run):
        self.files, self.run = files, run

    def pipe_file(self, path, value, mode="overwrite"):
        self.run.pause()
        self.files.pipe_file(path, value, mode=mode)


def holder(steps, uri, leases, name, *, renewals=1):
    """A run that takes the lease, renews it, and gives it back."""

    def body(run):
        lease = Lease(SteppedFolder(uri, run), lease_seconds=SECONDS, wall=lambda: steps.now, steady=lambda: steps.now)
        leases[name] = lease
        lease.take()
        for _ in range(renewals):
            lease.renew()
        lease.give_back()

    return body


def lease_at(uri, clock, *, steady=None):
    return Lease(Folder(uri), lease_seconds=SECONDS, wall=clock, steady=steady or clock)


def held_by(leases):
    return [name for name, lease in leases.items() if lease.is_held]


@pytest.fixture
def uris(tmp_path):
    return (f"memory://{tmp_path.name}-{number}" for number in itertools.count())


def schedules(num_steps, length):
    """Every order in which one run's first `num_steps` may fall among the other's, as words of `length` letters."""
    for places in itertools.combinations(range(length), num_steps):
        yield "".join("a" if place in places else "b" for place in range(length))


@pytest.mark.parametrize("before", ["nothing", "lapsed", "released"])
def test_of_two_that_take_no_two_hold_in_any_order(uris, before):
    for schedule in schedules(5, 10):
        uri, steps, leases = next(uris), Steps(), {}
        if before != "nothing":
            old = lease_at(uri, lambda: 0.0)
            old.take()
            if before == "released":
                old.give_back()
        for name in "ab":
            steps.start(name, holder(steps, uri, leases, name))
        for name in schedule:
            steps.step(name)
            assert len(held_by(leases)) <= 1, schedule
        for name in "ab" * 12:
            steps.step(name)
            assert len(held_by(leases)) <= 1, schedule
        assert all(run.is_over for run in steps.runs.values())


@pytest.mark.parametrize("sleep", [0.5, 0.9, 1.0, 1.05, 1.0 + MARGIN, 1.2, 3.0])
def test_a_holder_that_sleeps_at_any_step_never_holds_beside_another(uris, sleep):
    """The first stops for a share of the lease's time at its n-th step; the second takes over where it can, in every order of the
    steps that follow."""
    for asleep_at in range(9):
        for schedule in schedules(3, 7):
            uri, steps, leases = next(uris), Steps(), {}
            steps.start("a", holder(steps, uri, leases, "a", renewals=2))
            for _ in range(asleep_at):
                steps.step("a")
            steps.now += sleep * SECONDS
            steps.start("b", holder(steps, uri, leases, "b"))
            for name in schedule + "ab" * 12:
                steps.step(name)
                assert len(held_by(leases)) <= 1, (asleep_at, schedule)


def test_one_that_died_at_any_step_is_succeeded_when_its_time_is_over(uris):
    for dies_at in range(12):
        uri, steps, leases = next(uris), Steps(), {}
        steps.start("a", holder(steps, uri, leases, "a", renewals=2))
        for _ in range(dies_at):
            steps.step("a")  # and never again
        steps.now += (1 + MARGIN) * SECONDS + 0.001
        now = steps.now
        heir = lease_at(uri, lambda now=now: now)
        heir.take()
        assert heir.is_held
        assert standing(Folder(uri), wall=lambda now=now: now).left_seconds > 0


def test_a_zombie_that_wakes_long_after_its_heir_went_takes_nothing(uris):
    uri, now = next(uris), [0.0]
    zombie, heir = lease_at(uri, lambda: now[0], steady=lambda: 0.0), lease_at(uri, lambda: now[0])
    zombie.take()  # its steady clock stands still, as that of a laptop that is closed
    now[0] = 100.0
    heir.take()
    heir.give_back()
    with pytest.raises(OutputBusyError, match="taken this output over"):
        zombie.renew()
    assert not zombie.is_held
    third = lease_at(uri, lambda: now[0])
    third.take()
    assert third.is_held
