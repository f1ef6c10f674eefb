"""Real tiny videos whose every frame says its number: a barcode of black and white blocks, read back from pixels."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

COLUMNS, ROWS = 5, 2
MAX_FRAMES = 1 << (COLUMNS * ROWS)


def barcode(number: int, width_px: int, height_px: int) -> NDArray[np.uint8]:
    """(H, W, 3) uint8: bit b of `number` is white in block b, counted in rows from the top left."""
    bits = np.array([(number >> bit) & 1 for bit in range(COLUMNS * ROWS)], np.uint8).reshape(ROWS, COLUMNS)
    rows = np.arange(height_px) * ROWS // height_px
    columns = np.arange(width_px) * COLUMNS // width_px
    gray = np.where(bits[rows][:, columns], 225, 30).astype(np.uint8)
    return np.repeat(gray[:, :, None], 3, axis=2)


def frame_number(pixels: NDArray[np.uint8]) -> int:
    """The number in an upright picture of any size, read in the middle of each block."""
    height, width = pixels.shape[:2]
    number = 0
    for bit in range(COLUMNS * ROWS):
        row, column = divmod(bit, COLUMNS)
        top, left = (4 * row + 1) * height // (4 * ROWS), (4 * column + 1) * width // (4 * COLUMNS)
        bottom, right = (4 * row + 3) * height // (4 * ROWS), (4 * column + 3) * width // (4 * COLUMNS)
        number |= int(pixels[top:bottom, left:right].mean() > 127) << bit
    return number


def write_video(
    path: Path | str,
    *,
    codec: str = "libx264",
    fps: float | Fraction = 25,
    num_frames: int = 50,
    size: tuple[int, int] = (160, 96),
    pix_fmt: str = "yuv420p",
    start_us: int = 0,
    pts_us: Sequence[int] | None = None,
    rotation_degrees: int = 0,
    b_frames: int = 2,
    gop: int = 12,
    container: str | None = None,
    codec_options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    with_audio: bool = False,
    metadata: dict[str, str] | None = None,
    pictures: Sequence[NDArray[np.uint8]] | None = None,
) -> Path:
    """A video at `path`. size: width and height as seen, upright; rotation_degrees: clockwise turn noted in the file;
    pts_us: times of frames for a variable rate, on a clock of 1 ms; pictures: instead of barcodes."""
    width, height = size
    if rotation_degrees in (90, 270):
        width, height = height, width
    rate = Fraction(fps).limit_denominator(1001)
    time_base = Fraction(1, 1000) if pts_us is not None or start_us else 1 / rate
    options = dict(codec_options or {})
    if codec == "libx265":
        options.setdefault("x265-params", f"log-level=none:bframes={b_frames}:keyint={gop}:pools=1")
    if codec == "libsvtav1":
        options |= {"preset": "8", "crf": "12"}
    if codec == "libvpx-vp9":
        options |= {"cpu-used": "8", "deadline": "realtime"}
    if codec in ("libx264", "libx265"):
        options.setdefault("preset", "ultrafast" if codec == "libx265" else "veryfast")
    with _scheduled_as_before(), av.open(str(path), "w", format=container, options=container_options or {}) as output:
        output.metadata.update(metadata or {})
        stream = output.add_stream(codec, rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        stream.codec_context.time_base = time_base
        stream.codec_context.gop_size = gop
        if codec in ("libx264", "mpeg4", "mpeg2video"):
            stream.codec_context.max_b_frames = b_frames
        if rotation_degrees:
            stream.set_display_rotation(-rotation_degrees)
        sound = output.add_stream("aac", rate=8000, layout="mono") if with_audio else None
        for number in range(num_frames):
            upright = pictures[number] if pictures is not None else barcode(number, *size)
            stored = np.ascontiguousarray(np.rot90(upright, rotation_degrees // 90))
            frame = av.VideoFrame.from_ndarray(stored, "rgb24")
            if pts_us is not None:
                frame.pts = round((start_us + pts_us[number]) / 1000)
            else:
                frame.pts = round(Fraction(start_us, 1_000_000) / time_base + number / rate / time_base)
            frame.time_base = time_base
            for packet in stream.encode(frame):
                output.mux(packet)
        for packet in stream.encode():
            output.mux(packet)
        if sound is not None:
            write_tone(output, sound, seconds=float(num_frames / rate))
    return Path(path)


@contextmanager
def _scheduled_as_before() -> Iterator[None]:
    """SVT-AV1 gives a process of root the policy SCHED_FIFO, which all that it starts later inherits, to the cost of others."""
    if not hasattr(os, "sched_getscheduler"):
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        if os.sched_getscheduler(0) != policy:
            os.sched_setscheduler(0, policy, parameters)


def write_tone(output: "av.container.OutputContainer", sound: "av.AudioStream", *, seconds: float) -> None:
    """A second of hum per second, into an open container."""
    num_samples = round(8000 * seconds)
    for start in range(0, num_samples, 1024):
        wave = (8000 * np.sin(np.arange(start, start + 1024) / 5)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(wave[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = 8000, start
        for packet in sound.encode(frame):
            output.mux(packet)
    for packet in sound.encode():
        output.mux(packet)


def write_sound(path: Path, *, seconds: float = 1.0) -> Path:
    """A file with sound and no picture."""
    with av.open(str(path), "w") as output:
        write_tone(output, output.add_stream("aac", rate=8000, layout="mono"), seconds=seconds)
    return path
