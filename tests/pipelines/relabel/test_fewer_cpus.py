"""A run that was begun with many CPUs goes on with one, or says what does not fit."""

import signal

import pytest

from tests.pipelines.support import (
    SMALL_UNITS,
    assert_same_tables,
    ledger_units,
    make_archive,
    nrray,
    one_ray,
    started,
    wait_until,
    words,
)


@pytest.mark.slow
def test_a_run_begun_on_four_cpus_goes_on_on_one_to_the_same_tables(tmp_path):
    archive = make_archive(tmp_path / "archive", num_videos=3, seconds=11.0)
    small = [word for setting in SMALL_UNITS for word in ("--set", setting)]
    output, log = tmp_path / "out", tmp_path / "log"

    def command(name: str, **pools: int) -> list[str]:
        places = {"manifest": tmp_path / "scan/manifest.parquet", "output": tmp_path / name}
        return ["relabel", *words(**places, **pools), *small]

    with one_ray(num_cpus=4):
        scanned = nrray("scan", *words(archive=archive, output=tmp_path / "scan"))
        assert scanned.returncode == 0, scanned.stderr
        with started(*command("out", pools__decoders=3, pools__labelers=3), log=log) as run:
            wait_until(lambda: ledger_units(output) >= 3 or run.poll() is not None, what="3 units")
            run.send_signal(signal.SIGKILL)
            run.wait(timeout=60)
    assert 3 <= ledger_units(output) < 15, log.read_text()
    with one_ray(num_cpus=1):
        refused = nrray(*command("out", pools__decoders=3, pools__labelers=3))
        assert refused.returncode == 1
        assert "3 decoders and 3 labelers on CPU do not fit" in " ".join(refused.stderr.split())
        assert "Lower pools.decoders, pools.labelers" in " ".join(refused.stderr.split())
        finished = nrray(*command("out"))
        assert finished.returncode == 0, finished.stderr
        assert "1 decoder and 1 labeler on CPU" in finished.stdout
        undisturbed = nrray(*command("undisturbed"))
        assert undisturbed.returncode == 0, undisturbed.stderr
    assert ledger_units(output) == 15
    assert_same_tables(output, tmp_path / "undisturbed")
