"""Damaged copies of small videos, and what is served of them: `python -m tests.decode.mutants --num 1000` prints a table.

A mutant has flipped bits, a part cut out or zeroed, noise put in, or its end cut off. A served picture is wrong where it differs
from the one of the unharmed video at the same time by more than 10 of 255 on average.
"""

import argparse
import json
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nrray.decode import DecodeConfig, GuardedDecoder
from nrray.errors import DecodeError
from tests.decode.asking import request_of
from tests.videos import barcode, write_video

MAX_MEAN_DIFFERENCE = 10.0
KINDS = {
    "h264.mp4": {"b_frames": 2},
    "h264.ts": {"b_frames": 2},
    "h264.flv": {"b_frames": 0},
    "h264.mkv": {"codec_options": {"x264-params": "open-gop=1"}},
    "hevc.mkv": {"codec": "libx265"},
    "hevc.mp4": {"codec": "libx265"},
    "mpeg4.avi": {"codec": "mpeg4", "b_frames": 0},
    "mpeg2.ts": {"codec": "mpeg2video"},
    "vp8.webm": {"codec": "libvpx", "codec_options": {"deadline": "realtime", "cpu-used": "8"}},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
}


def moving(number: int, size: tuple[int, int] = (160, 96)) -> NDArray[np.uint8]:
    """A barcode with a textured field that wanders over its lower half."""
    picture = barcode(number, *size)
    texture = np.random.default_rng(5).integers(0, 255, (24, 40, 1)).repeat(3, axis=2).astype(np.uint8)
    left = (3 * number) % (size[0] - 40)
    picture[size[1] - 30 : size[1] - 6, left : left + 40] = texture
    return picture


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The pictures of an unharmed video of 25 frames a second, (N, H, W, 3)."""

    start_us: int
    pixels: NDArray[np.int16]

    def at(self, time_us: int) -> NDArray[np.int16]:
        number = (time_us - self.start_us + 1_000) // 40_000  # stamps in milliseconds
        picture: NDArray[np.int16] = self.pixels[min(max(number, 0), len(self.pixels) - 1)]
        return picture


def write_kinds(folder: Path) -> dict[str, Path]:
    """The unharmed videos, 4 s each, by name."""
    pictures = [moving(number) for number in range(100)]
    return {
        name: write_video(folder / name, num_frames=100, pictures=pictures, **options)
        for name, options in KINDS.items()
    }


def mutated(data: bytes, generator: np.random.Generator) -> bytes:
    """`data` with one to three changes."""
    changed = bytearray(data)
    for _ in range(generator.integers(1, 4)):
        at = int(generator.integers(0, len(changed)))
        length = int(generator.integers(1, max(2, len(changed) // 50)))
        kind = generator.integers(0, 5)
        if kind == 0:
            for place in generator.integers(0, len(changed), generator.integers(1, 12)):
                changed[place] ^= 1 << int(generator.integers(0, 8))
        elif kind == 1:
            del changed[at : at + length]
        elif kind == 2:
            changed[at : at + length] = bytes(len(changed[at : at + length]))
        elif kind == 3:
            changed[at:at] = generator.bytes(length)
        else:
            del changed[max(len(changed) // 3, at) :]
    return bytes(changed)


def run(num: int, *, first_seed: int = 0) -> dict[str, Counter[str]]:
    """Counts by kind of video: mutants, refused ones, samples served as sound, told as damaged, without a frame, and wrong."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in KINDS}
    with tempfile.TemporaryDirectory() as folder, GuardedDecoder(DecodeConfig(timeout_seconds=60)) as guarded:
        originals = write_kinds(Path(folder))
        truths = {}
        for name, path in originals.items():
            facts = guarded.probe(str(path))
            frames = guarded.sample(request_of(path, facts, step_us=40_000))
            truths[name] = Truth(start_us=facts.start_us, pixels=frames.pixels.astype(np.int16))
        names = list(KINDS)
        for seed in range(first_seed, first_seed + num):
            name = names[seed % len(names)]
            path = Path(folder) / f"mutant-{seed}-{name}"
            path.write_bytes(mutated(originals[name].read_bytes(), np.random.default_rng(seed)))
            counts[name].update(judged(path, guarded, truths[name], seed=seed))
            path.unlink()
    return counts


def judged(path: Path, guarded: GuardedDecoder, truth: Truth, *, seed: int) -> Counter[str]:
    found: Counter[str] = Counter(mutants=1)
    try:
        facts = guarded.probe(str(path))
        asked = request_of(path, facts)
        frames = guarded.sample(asked)
    except DecodeError as error:
        found["refused"] += 1
        found[f"refused {error.kind.value}"] += 1
        return found
    sound = getattr(frames, "is_sound", frames.frame_of_sample >= 0)
    for sample_us, row, is_sound in zip(asked.sample_us.tolist(), frames.frame_of_sample.tolist(), sound, strict=True):
        if row < 0:
            found["without a frame"] += 1
        elif not is_sound:
            found["told as damaged"] += 1
        else:
            found["sound"] += 1
            if np.abs(frames.pixels[row] - truth.at(sample_us)).mean() > MAX_MEAN_DIFFERENCE:
                found["wrong"] += 1
                found[f"seed {seed}"] += 1
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--num", type=int, default=1000)
    parser.add_argument("--first-seed", type=int, default=0)
    options = parser.parse_args()
    started = time.monotonic()
    counts = run(options.num, first_seed=options.first_seed)
    print(json.dumps({name: dict(found) for name, found in counts.items()}))
    columns = ("mutants", "refused", "sound", "told as damaged", "without a frame", "wrong")
    print("| video | " + " | ".join(columns) + " |")
    for name, found in counts.items():
        print(f"| {name} | " + " | ".join(str(found[column]) for column in columns) + " |")
    total = sum(counts.values(), Counter())
    print("| all | " + " | ".join(str(total[column]) for column in columns) + f" |  {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
