"""A table of codecs and containers: how far a probe's duration is off, how many samples have the right picture, and what decoding
costs beside the ffmpeg program, in CPU time of one thread: `python tests/benchmarks/decode_table.py --folder DIR`.

The videos are made in DIR once, 20 s of 640x360 with a barcode each, and one of `--minutes` with a single key frame.
"""

import argparse
import resource
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nrray.decode import DecodeConfig, FrameRequest, ProbeResult, probe_video, sample_frames
from nrray.decode.pyav_backend import forget_reading
from tests.videos import MAX_FRAMES, barcode, frame_number, write_video

FPS, SECONDS, SIZE = 25, 20, (640, 360)
STEP_US, UNIT_SAMPLES = 250_000, 240
KINDS = {
    "h264.mp4": {},
    "h264.mkv": {},
    "h264.ts": {},
    "h264.avi": {},
    "hevc.mp4": {"codec": "libx265"},
    "hevc.mkv": {"codec": "libx265"},
    "mpeg2.ts": {"codec": "mpeg2video"},
    "mpeg4.avi": {"codec": "mpeg4", "b_frames": 0},
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "vp8.webm": {"codec": "libvpx", "codec_options": {"deadline": "realtime", "cpu-used": "8"}},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "av1.mkv": {"codec": "libsvtav1"},
    "interlaced.ts": {"codec": "mpeg2video", "codec_options": {"flags": "+ilme+ildct"}},
}


def picture(number: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A barcode under a texture that wanders."""
    texture = np.random.default_rng(1).integers(-20, 20, (size[1], 2 * size[0], 1))
    left = 2 * number % size[0]
    return np.clip(barcode(number % MAX_FRAMES, *size) + texture[:, left : left + size[0]], 0, 255).astype(np.uint8)


def made(folder: Path, name: str, *, seconds: float = SECONDS, size: tuple[int, int] = SIZE, **options: object) -> Path:
    path = folder / name
    if not path.exists():
        pictures, unfinished = _Pictures(size), folder / f"unfinished-{name}"
        write_video(unfinished, num_frames=round(seconds * FPS), size=size, pictures=pictures, **{"gop": 50, **options})
        unfinished.rename(path)
    return path


class _Pictures:
    """Drawn when they are asked for: an hour of them does not fit into memory."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size

    def __getitem__(self, number: int) -> NDArray[np.uint8]:
        return picture(number, self._size)


def units(path: Path, facts: ProbeResult) -> list[FrameRequest]:
    grid_us = np.arange(facts.start_us, facts.start_us + facts.duration_us, STEP_US, dtype=np.int64)
    known = {name: getattr(facts, name) for name in ("seekable", "clock") if hasattr(facts, name)}
    if "clock" in known:
        known["frame_interval_us"] = round(1e6 / facts.measured_fps)
    return [
        FrameRequest(
            uri=str(path),
            sample_us=grid_us[first : first + UNIT_SAMPLES],
            width_px=224,
            height_px=224,
            video_end_us=facts.start_us + facts.duration_us,
            **known,
        )
        for first in range(0, len(grid_us), UNIT_SAMPLES)
    ]


def ffmpeg_seconds(path: Path) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    arguments = [
        "-v",
        "error",
        "-threads",
        "1",
        "-i",
        str(path),
        "-an",
        "-vf",
        "fps=4,scale=224:224",
        "-f",
        "null",
        "-",
    ]
    subprocess.run([str(shutil.which("ffmpeg")), *arguments], check=True, stdin=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def row(path: Path, *, repeats: int, seconds: float) -> str:
    config = DecodeConfig()
    costs: list[float] = []
    others: list[float] = []
    probes: list[float] = []
    for _ in range(repeats):
        began = time.process_time()
        facts = probe_video(str(path), config)
        probes.append(time.process_time() - began)
        forget_reading()
        began = time.process_time()
        frames = [sample_frames(unit, config) for unit in units(path, facts)]
        costs.append(time.process_time() - began)
        if shutil.which("ffmpeg"):
            others.append(ffmpeg_seconds(path))
    right = total = 0
    for unit, answer in zip(units(path, facts), frames, strict=True):
        shown = [frame_number(pixels) for pixels in answer.pixels]
        for sample_us, served in zip(
            (unit.sample_us - facts.start_us).tolist(), answer.frame_of_sample.tolist(), strict=True
        ):
            total += 1
            right += served >= 0 and shown[served] == ((sample_us + 1_000) * FPS // 1_000_000) % MAX_FRAMES
    cost, other, probe = min(costs), min(others, default=float("nan")), min(probes)
    error_ms = (facts.duration_us - seconds * 1e6) / 1000
    return f"| {path.name} | {error_ms:+.0f} | {right}/{total} | {probe:.2f} | {cost:.2f} | {other:.2f} | {other / cost:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=60.0)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    print("| video | duration error, ms | samples right | probe, s | decoding, s | ffmpeg, s | speed against ffmpeg |")
    print("|---|---|---|---|---|---|---|")
    for name, settings in KINDS.items():
        print(row(made(options.folder, name, **settings), repeats=options.repeats, seconds=SECONDS), flush=True)
    if options.minutes:
        name, seconds = f"one_key_{options.minutes:g}min.mp4", options.minutes * 60
        settings = {"gop": 100_000, "codec_options": {"x264-params": "scenecut=0", "preset": "ultrafast"}}
        path = made(options.folder, name, seconds=seconds, size=(160, 96), **settings)
        print(row(path, repeats=1, seconds=seconds), flush=True)


if __name__ == "__main__":
    main()
