"""Several recordings in one file, as `cat` joins them: all are seen, or the file is refused with what parts them."""

import re
import subprocess

import numpy as np
import pytest

from nrray.decode import probe_video, sample_frames
from nrray.decode.joints import second_recording
from nrray.errors import DecodeError, ErrorKind
from nrray.types import ClockKind
from tests.decode.asking import CONFIG, request_of, sound_numbers
from tests.decode.recorders import US, joined
from tests.videos import write_video

FRAGMENTS = {"movflags": "frag_keyframe+empty_moov"}
REFUSED = {
    "plain.mp4": {},
    "index_first.mp4": {"container_options": {"movflags": "faststart"}},
    "fragmented.mp4": {"container_options": FRAGMENTS},
    "old.mov": {},
    "dump.flv": {"with_audio": True},
}
UNROLLED = {"same.mkv": {}, "same.webm": {"codec": "libvpx-vp9"}, "same.ts": {}, "same.mpg": {"codec": "mpeg2video"}}
FIRST, SECOND = ([base + t * 25 // 4 for t in range(16)] for base in (0, 100))


@pytest.mark.parametrize("name", REFUSED)
def test_where_the_first_alone_would_be_read_the_command_parts_them(tmp_path, name):
    path = joined(tmp_path, name, **REFUSED[name])
    with pytest.raises(DecodeError, match=r"holds several recordings, .* the first alone would be read") as caught:
        probe_video(str(path), CONFIG)
    assert caught.value.kind is ErrorKind.UNSUPPORTED
    command = re.search(r"head -c .*", str(caught.value))[0]
    subprocess.run(["sh", "-c", command.replace("IN", name)], cwd=tmp_path, check=True)
    for part, expected in (("PART1", FIRST), ("PART2", SECOND)):
        facts = probe_video(str(tmp_path / part), CONFIG)
        assert sound_numbers(sample_frames(request_of(tmp_path / part, facts), CONFIG))[:16] == expected


@pytest.mark.parametrize("name", UNROLLED)
def test_parts_that_are_coded_alike_are_put_one_behind_the_other(tmp_path, name):
    path = joined(tmp_path, name, **UNROLLED[name])
    facts = probe_video(str(path), CONFIG)
    assert (facts.duration_us, facts.clock) == (8 * US, ClockKind.RESTARTS)
    assert sound_numbers(sample_frames(request_of(path, facts), CONFIG)) == [*FIRST, *SECOND]


@pytest.mark.parametrize(
    "other", [{"size": (320, 192)}, {"codec_options": {"preset": "ultrafast"}}, {"codec": "libx265"}]
)
def test_matroska_whose_second_part_is_coded_otherwise_is_refused(tmp_path, other):
    parts = [write_video(tmp_path / f"{number}.mkv", **options) for number, options in enumerate([{}, other])]
    path = tmp_path / "joined.mkv"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    with pytest.raises(DecodeError, match=rf"at byte {parts[0].stat().st_size:,}, and the second is coded otherwise"):
        probe_video(str(path), CONFIG)


@pytest.mark.parametrize("name", [*REFUSED, *UNROLLED, "sound.mkv", "late.mp4"])
def test_one_recording_is_one(tmp_path, name):
    options = REFUSED.get(name) or UNROLLED.get(name) or {"with_audio": True}
    path = write_video(tmp_path / name, num_frames=30, **options)
    probe_video(str(path), CONFIG)
    for container in ("mov,mp4", "flv", "matroska,webm"):
        with path.open("rb") as file:
            assert second_recording(file, container=container) is None


@pytest.mark.parametrize("name", ["v.mp4", "v.flv", "v.mkv"])
def test_damage_hides_a_second_recording_and_ends_the_search(tmp_path, name):
    data = joined(tmp_path, name).read_bytes()
    generator = np.random.default_rng(0)
    container = {"mp4": "mov,mp4", "flv": "flv", "mkv": "matroska,webm"}[name[2:]]
    path = tmp_path / "damaged"
    for _ in range(200):
        changed = bytearray(data)
        for at in generator.integers(0, len(data), 3):
            changed[at] = generator.integers(256)
        path.write_bytes(changed[: generator.integers(1, len(data))])
        with path.open("rb") as file:
            found = second_recording(file, container=container)
        assert found is None or 0 < found < len(data)
