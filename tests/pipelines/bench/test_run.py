import json

from nrray.console.reporter import Reporter
from nrray.pipelines.bench.run import run_bench
from tests.videos import write_video


def test_decode_is_measured_beside_seeking_window_by_window(tmp_path, capsys):
    path = write_video(tmp_path / "video.mp4", num_frames=150)
    run_bench("decode", video=str(path), reporter=Reporter(is_json=True))
    figures = json.loads(capsys.readouterr().out)
    cost = figures["seconds_per_video_second"]
    assert {"guarded", "window_by_window"} <= cost.keys()
    assert figures["speed_against"]["window_by_window"] == cost["window_by_window"] / cost["guarded"]
    assert figures["video_seconds"] == 6.0


def test_figures_are_printed_by_path(tmp_path, capsys):
    path = write_video(tmp_path / "video.mp4", num_frames=50)
    run_bench("decode", video=str(path), reporter=Reporter())
    assert "source_frames_per_second: guarded" in capsys.readouterr().out
