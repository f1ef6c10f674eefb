"""The decode stage alone, without Ray."""

import os

from nrray.decode import DecodeConfig, GuardedDecoder
from nrray.pipelines.relabel.stages import DecodeStage
from nrray.results.journal import EntryLimits, Journal
from nrray.sampling import Sampling
from nrray.storage import Folder, source_facts
from nrray.tables import table_from_rows
from nrray.types import UnitRequest
from tests.videos import write_video


def test_a_file_that_changes_while_it_is_decoded_has_no_labels(tmp_path, monkeypatch):
    video = write_video(tmp_path / "a.mp4", fps=25, num_frames=100)
    size_bytes, modified_us = source_facts(str(video))
    output = Folder(str(tmp_path / "out"))
    Journal(output, "run").create()
    unit = UnitRequest(
        unit_id="a-0",
        video_id="a",
        first_window=0,
        num_windows=2,
        earlier_attempts=0,
        uri=str(video),
        size_bytes=size_bytes,
        modified_us=modified_us,
        start_us=0,
        duration_us=4_000_000,
        seekable=True,
    )
    stage = DecodeStage(
        output=str(output), run_id="run", decode=DecodeConfig(), sampling=Sampling(), limits=EntryLimits()
    )
    work = table_from_rows([unit], UnitRequest)
    (before,) = stage(work)
    assert before["status"].to_pylist() == ["ok"]
    sample = GuardedDecoder.sample

    def sample_and_change(decoder, request):
        frames = sample(decoder, request)
        os.utime(video, ns=(0, 0))
        return frames

    monkeypatch.setattr(GuardedDecoder, "sample", sample_and_change)
    (after,) = stage(work)
    assert after["status"].to_pylist() == ["failed"]
    assert after["error_kind"].to_pylist() == ["changed_since_scan"]
