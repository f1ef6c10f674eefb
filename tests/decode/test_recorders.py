"""What recorders, phones and joined files get wrong, and what is right about each."""

from itertools import product

import av
import cv2
import numpy as np
import pytest

from nrray.decode import DecodeConfig, probe_video, sample_frames
from nrray.decode.decord_backend import sample_decord_frames
from nrray.decode.pyav_backend import forget_reading
from nrray.decode.request import Restarts
from nrray.decode.selection import bridged_us
from nrray.errors import DecodeError, ErrorKind
from nrray.types import ClockKind
from tests.decode.asking import CONFIG, numbers, request_of, sound_numbers
from tests.decode.recorders import US, joined, patched_stamps, restamped, with_damage, with_exif, without_packets
from tests.videos import barcode, write_video

HOUR_US = 3600 * US


def expected(times_us, samples, *, interval_us):
    """The number of the frame that is right for each sample."""
    found = []
    for sample in samples:
        before = sum(time <= sample for time in times_us) - 1
        gap_us = times_us[before + 1] - times_us[before] if before + 1 < len(times_us) else 0
        in_gap = gap_us > bridged_us(interval_us) and sample >= times_us[before] + interval_us
        found.append(None if in_gap else before)
    return found


CONTAINERS = {
    "h264.mp4": {},
    "h264.mov": {"gop": 250},
    "h264.mkv": {},
    "h264.ts": {},
    "h264.flv": {"b_frames": 0},
    "hevc.mp4": {"codec": "libx265"},
    "hevc.mkv": {"codec": "libx265"},
    "hevc.ts": {"codec": "libx265"},
    "mpeg4.mp4": {"codec": "mpeg4", "b_frames": 0},
    "mpeg4.mkv": {"codec": "mpeg4", "b_frames": 0},
    "vp8.webm": {"codec": "libvpx", "codec_options": {"deadline": "realtime", "cpu-used": "8"}},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "av1.mkv": {"codec": "libsvtav1"},
    "mjpeg.mkv": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
}
FRAME_US = 40_000
CLOCKS = {
    "plain": [n * FRAME_US for n in range(60)],
    "late": [7 * HOUR_US + n * FRAME_US for n in range(60)],
    "gap": [n * FRAME_US + (n >= 36) * 60 * US for n in range(60)],
    "dropped": [n * FRAME_US for n in range(90) if n % 3 or n < 4][:60],
    "a second each": [n * US for n in range(60)],
    "half a minute each": [n * 30 * US for n in range(60)],
}


@pytest.mark.parametrize(("name", "clock"), product(CONTAINERS, CLOCKS))
def test_every_sample_has_the_picture_of_its_time_whatever_the_clock(tmp_path, name, clock):
    times_us = CLOCKS[clock]
    options = {"gop": 12, **CONTAINERS[name]}
    path = write_video(tmp_path / name, num_frames=60, pts_us=times_us, size=(80, 48), **options)
    facts = probe_video(str(path), CONFIG)
    interval_us = round(US / facts.measured_fps)
    assert facts.clock is ClockKind.STEADY
    assert facts.duration_us == pytest.approx(times_us[-1] - times_us[0] + interval_us, abs=interval_us + 2_000)
    asked = request_of(path, facts, step_us=max(250_000, facts.duration_us // 300))
    frames = sample_frames(asked, CONFIG)
    shift_us = facts.start_us - times_us[0]
    right = expected(
        [time + shift_us for time in times_us], (asked.sample_us + 1_000).tolist(), interval_us=interval_us
    )
    got = sound_numbers(frames) if clock == "gap" else numbers(frames)
    if clock == "gap":  # behind a gap without a key frame pictures are not believed up to the next one
        right = [None if mine is None else number for number, mine in zip(right, got, strict=True)]
        assert sum(mine is not None for mine in got) >= 6
    assert got == right


def test_frames_that_are_stamped_hours_ahead_are_left_out_and_told(tmp_path):
    path = write_video(tmp_path / "future.ts", num_frames=250, b_frames=0)
    patched_stamps(path, ahead_us=10 * HOUR_US, numbers=(60, 110))
    facts = probe_video(str(path), CONFIG)
    assert (facts.duration_us, facts.clock) == (10 * US, ClockKind.OUTLIERS)
    assert "2 stamps contradict their neighbours" in facts.remarks
    frames = sample_frames(request_of(path, facts, step_us=FRAME_US), CONFIG)
    assert numbers(frames) == [n - (n in (60, 110)) for n in range(250)]


@pytest.mark.parametrize(
    ("name", "options"),
    [("two.ts", {}), ("two.mpg", {"codec": "mpeg2video"}), ("two.vob", {"codec": "mpeg2video"})],
)
def test_a_clock_that_starts_again_is_unrolled_or_refused(tmp_path, name, options):
    path = joined(tmp_path, name, **options)
    facts = probe_video(str(path), CONFIG)
    assert facts.clock is ClockKind.RESTARTS
    assert facts.duration_us == pytest.approx(8 * US, abs=2 * FRAME_US)
    assert "starts again 1 time" in facts.remarks
    asked = request_of(path, facts)
    got = numbers(sample_frames(asked, CONFIG))
    assert np.abs(np.array(got) - asked.sample_us // FRAME_US + facts.start_us // FRAME_US).max() <= 2
    assert {100, 199 - 5} & set(got) or max(got) > 190
    with pytest.raises(DecodeError, match=r"starts again 1 times.*-fflags \+genpts") as caught:
        probe_video(str(path), DecodeConfig(restarts=Restarts.REFUSE))
    assert caught.value.kind is ErrorKind.UNSUPPORTED


def test_a_joined_avi_is_seen_to_its_end(tmp_path):
    path = joined(tmp_path, "two.avi", codec="mjpeg", pix_fmt="yuvj420p")
    facts = probe_video(str(path), CONFIG)
    assert facts.duration_us == 8 * US
    assert numbers(sample_frames(request_of(path, facts), CONFIG)) == [t * 25 // 4 for t in range(32)]


def test_a_live_stream_that_was_recorded_after_days_begins_there_and_is_as_long_as_it_is(tmp_path):
    path = write_video(tmp_path / "rtmp.flv", num_frames=250, start_us=480 * HOUR_US, b_frames=0)
    facts = probe_video(str(path), CONFIG)
    assert (facts.start_us, facts.duration_us) == (480 * HOUR_US, 10 * US)


def test_pictures_that_an_edit_list_discards_are_no_part_of_the_video(tmp_path):
    whole = write_video(tmp_path / "whole.mp4", num_frames=250, gop=25)
    path = restamped(whole, tmp_path / "trimmed.mp4", lambda number, was_us: was_us - 680_000 if number < 110 else None)
    facts = probe_video(str(path), CONFIG)
    assert facts.start_us == 0
    assert "left out, as the file's edit list says" in facts.remarks
    frames = sample_frames(request_of(path, facts), CONFIG)
    got = numbers(frames)
    assert got == [min(17 + t * 25 // 4, max(got)) for t in range(len(got))]
    assert facts.duration_us == pytest.approx(110 * FRAME_US - 680_000, abs=3 * FRAME_US)


def test_pictures_that_refer_to_a_damaged_one_are_marked_up_to_the_next_key_frame(tmp_path):
    path = write_video(tmp_path / "damaged.mp4", num_frames=100, gop=24, b_frames=0, codec_options={"crf": "5"})
    facts = probe_video(str(path), CONFIG)
    asked = request_of(path, facts, step_us=FRAME_US)
    whole = sample_frames(asked, CONFIG)
    with av.open(str(path)) as container:
        keys = [n for n, packet in enumerate(container.demux(video=0)) if packet.is_keyframe]
    with_damage(path, keys[1])
    forget_reading()
    frames = sample_frames(asked, CONFIG)
    told = [not sound for sound in frames.is_sound]
    assert told == [keys[1] <= n < keys[2] for n in range(100)]
    rows = frames.frame_of_sample
    difference = np.abs(frames.pixels[rows].astype(int) - whole.pixels[whole.frame_of_sample]).mean(axis=(1, 2, 3))
    assert difference[frames.is_sound].max() == 0


def test_lost_packets_are_told(tmp_path):
    path = without_packets(write_video(tmp_path / "lost.ts", num_frames=250), every=37)
    facts = probe_video(str(path), CONFIG)
    assert facts.duration_us == 10 * US
    assert "arrived damaged" in facts.remarks
    asked = request_of(path, facts)
    frames = sample_frames(asked, CONFIG)
    assert 0 < frames.is_concealed.sum() < len(frames.pixels)
    right = [t * 25 // 4 for t in range(40)]
    got = zip(numbers(frames), right, frames.is_sound, strict=True)
    assert all(number == wanted for number, wanted, sound in got if sound)


def test_a_second_camera_is_told_and_can_be_chosen(tmp_path):
    path = tmp_path / "two.mp4"
    with av.open(str(path), "w") as output:
        streams = [output.add_stream("libx264", rate=25) for _ in range(2)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for number in range(50):
            for camera, stream in enumerate(streams):
                frame = av.VideoFrame.from_ndarray(barcode(number + 500 * camera, 160, 96), "rgb24")
                output.mux(stream.encode(frame))
        for stream in streams:
            output.mux(stream.encode(None))
    facts = probe_video(str(path), CONFIG)
    assert (facts.num_video_streams, facts.stream_index) == (2, 0)
    assert "0 is labelled, 1 (h264, 160x96) not" in facts.remarks
    second = DecodeConfig(stream=1)
    asked = request_of(path, probe_video(str(path), second))
    assert numbers(sample_frames(asked, second))[:3] == [500, 506, 512]
    with pytest.raises(DecodeError, match=r"scanned in its video stream 1, .*here --set decode\.stream=1"):
        sample_frames(asked, CONFIG)
    with pytest.raises(DecodeError, match="scanned in its video stream 0"):
        sample_frames(request_of(path, facts), second)
    with pytest.raises(DecodeError, match=r"no video stream 2 .*it has \[0, 1\]"):
        probe_video(str(path), DecodeConfig(stream=2))


@pytest.mark.parametrize(("name", "codec"), [("raw.h264", "libx264"), ("raw.hevc", "libx265")])
def test_a_raw_stream_has_the_rate_that_is_set(tmp_path, name, codec):
    path = write_video(tmp_path / name, codec=codec, num_frames=100)
    with pytest.raises(DecodeError, match=r"raw stream.*decode\.raw_frames_per_second=25"):
        probe_video(str(path), CONFIG)
    config = DecodeConfig(raw_frames_per_second=25)
    facts = probe_video(str(path), config)
    assert (facts.start_us, facts.duration_us, facts.clock) == (0, 4 * US, ClockKind.NONE)
    assert numbers(sample_frames(request_of(path, facts), config)) == [t * 25 // 4 for t in range(16)]
    for other in (None, 50.0):
        with pytest.raises(DecodeError, match=rf"scanned at 25 frames/s, .*raw_frames_per_second is {other}"):
            sample_frames(request_of(path, facts), DecodeConfig(raw_frames_per_second=other))


def test_frames_with_exif_are_decoded(tmp_path):
    plain = write_video(tmp_path / "plain.avi", codec="mjpeg", pix_fmt="yuvj420p", num_frames=50)
    path = with_exif(plain, tmp_path / "exif.avi")
    facts = probe_video(str(path), CONFIG)
    assert numbers(sample_frames(request_of(path, facts), CONFIG)) == [t * 25 // 4 for t in range(8)]


MATRICES = [
    (1, 0, 0, 1),
    (-1, 0, 0, 1),
    (1, 0, 0, -1),
    (-1, 0, 0, -1),
    (0, 1, 1, 0),
    (0, 1, -1, 0),
    (0, -1, 1, 0),
    (0, -1, -1, 0),
]


@pytest.mark.parametrize("terms", MATRICES)
def test_every_orientation_is_upright_or_refused_by_every_backend(tmp_path, terms):
    a, b, c, d = (term << 16 for term in terms)
    stored = [barcode(number, 160, 96) for number in range(25)]
    is_transposed = terms[0] == 0
    path = tmp_path / "turned.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
        for picture in stored:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        output.mux(stream.encode(None))
    facts = probe_video(str(path), CONFIG)
    size = (96, 160) if is_transposed else (160, 96)
    asked = request_of(path, facts, size=size)
    frames = sample_frames(asked, CONFIG)
    upright = np.stack([_as_seen(stored[n * 25 // 4], terms) for n in range(4)])
    assert np.abs(frames.pixels[frames.frame_of_sample].astype(int) - upright).mean() < 6
    is_mirrored = terms[0] * terms[3] - terms[1] * terms[2] < 0
    assert facts.is_mirrored is is_mirrored
    pytest.importorskip("decord")
    if is_mirrored:
        with pytest.raises(DecodeError, match="cannot mirror"):
            sample_decord_frames(asked, CONFIG)
    else:
        other = sample_decord_frames(asked, CONFIG)
        assert np.abs(other.pixels.astype(int) - frames.pixels).mean() < 6


def _as_seen(pixels, terms):
    """Each pixel where the matrix sends it."""
    a, b, c, d = terms
    rows, columns = np.indices(pixels.shape[:2])
    x, y = a * columns + c * rows, b * columns + d * rows
    x, y = x - x.min(), y - y.min()
    seen = np.zeros((y.max() + 1, x.max() + 1, 3), np.uint8)
    seen[y, x] = pixels
    return seen


def comb_energy(pixels) -> float:
    grey = pixels.mean(axis=-1)
    return float(np.abs(grey[1:-1] - (grey[:-2] + grey[2:]) / 2).mean())


@pytest.mark.parametrize(("name", "codec"), [("fields.ts", "mpeg2video"), ("fields.mp4", "libx264")])
def test_interlaced_pictures_are_not_combed(tmp_path, name, codec):
    def bar(number):
        picture = np.full((288, 360, 3), 60, np.uint8)
        for field in range(2):
            left = 8 * (2 * number + field) % 300
            picture[field::2, left : left + 40] = 220
        return picture

    options = {"flags": "+ilme+ildct"} if codec == "mpeg2video" else {"x264-params": "tff=1"}
    pictures = [bar(number) for number in range(50)]
    path = _interlaced(tmp_path / name, codec, options, pictures)
    facts = probe_video(str(path), CONFIG)
    assert facts.field_order == "interlaced"
    frames = sample_frames(request_of(path, facts, size=(360, 288)), CONFIG)
    combed = comb_energy(np.stack(pictures[10:20]).reshape(-1, 360, 3).astype(float))
    assert np.mean([comb_energy(picture.astype(float)) for picture in frames.pixels[1:-1]]) < combed / 5
    forget_reading()
    middle = sample_frames(request_of(path, facts, size=(360, 288)), CONFIG)
    assert np.array_equal(middle.pixels, frames.pixels)


def _interlaced(path, codec, options, pictures):
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=25, options=options)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.bit_rate = "yuv420p", 4_000_000
        for picture in pictures:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        output.mux(stream.encode(None))
    return path


def test_a_stream_that_an_old_encoder_made_is_decoded_from_its_start(tmp_path):
    """Decoders mend what x264 up to build 150 did to 4:4:4, and know the build from the first key frame alone."""
    texture = cv2.GaussianBlur(np.random.default_rng(3).integers(0, 255, (96, 160, 3)).astype(np.uint8), (0, 0), 3) * 3
    moving = [np.roll(texture, 2 * n, axis=1) for n in range(100)]
    path = write_video(
        tmp_path / "old.mp4", num_frames=100, gop=10, b_frames=0, pix_fmt="yuv444p", pictures=moving,
        codec_options={"preset": "medium"},
    )  # fmt: skip
    data = path.read_bytes()
    at = data.index(b"x264 - core ") + len(b"x264 - core ")
    path.write_bytes(data[:at] + b"148" + data[at + 3 :])
    facts = probe_video(str(path), CONFIG)
    assert not facts.seekable
    asked = request_of(path, facts)
    whole = sample_frames(asked, CONFIG)
    for first in range(0, len(asked.sample_us), 3):
        forget_reading()
        some = request_of(path, facts)
        some = type(some)(**{**vars(some), "sample_us": asked.sample_us[first : first + 3]})
        part = sample_frames(some, CONFIG)
        rows = whole.frame_of_sample[first : first + 3]
        assert np.array_equal(part.pixels[part.frame_of_sample], whole.pixels[rows])
