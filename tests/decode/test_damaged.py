"""Damaged and hostile files: each has a named outcome, and nothing wrong comes out silently."""

import gzip
import os
import struct
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import av
import fsspec
import numpy as np
import pytest

from nrray.decode import probe_video, sample_frames
from nrray.decode.request import DecodeConfig
from nrray.errors import DecodeError, ErrorKind
from nrray.types import US_PER_HOUR
from tests.decode.asking import CONFIG, grid_request, grid_us, numbers, request, request_of, sound_numbers
from tests.decode.mutants import moving
from tests.videos import barcode, write_sound, write_tone, write_video


def kind_of(call, *arguments) -> ErrorKind:
    with pytest.raises(DecodeError) as caught:
        call(*arguments)
    assert str(caught.value).strip()
    return caught.value.kind


def both_kinds(path, config=CONFIG) -> set[ErrorKind]:
    asked = request(path, [0, 250_000], end_us=2_000_000)
    return {kind_of(probe_video, str(path), config), kind_of(sample_frames, asked, config)}


def cut(path, share: float):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def test_a_missing_file_is_missing(tmp_path):
    assert both_kinds(tmp_path / "none.mp4") == {ErrorKind.MISSING}


def test_zero_bytes_are_empty(tmp_path):
    path = tmp_path / "empty.mp4"
    path.touch()
    assert both_kinds(path) == {ErrorKind.EMPTY}


def test_a_remote_file_that_is_missing_or_empty_or_of_no_known_storage_has_its_kind(tmp_path):
    with fsspec.open(f"memory://{tmp_path.name}/empty.mp4", "wb"):
        pass
    assert both_kinds(f"memory://{tmp_path.name}/empty.mp4") == {ErrorKind.EMPTY}
    assert both_kinds(f"memory://{tmp_path.name}/none.mp4") == {ErrorKind.MISSING}
    assert both_kinds("nosuch://bucket/a.mp4") == {ErrorKind.UNREADABLE}


def test_a_text_a_folder_and_noise_are_unreadable(tmp_path):
    (tmp_path / "text.mp4").write_text("this is no video\n" * 100)
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "noise.mp4").write_bytes(gzip.compress(os.urandom(20_000)))
    for name in ("text.mp4", "folder.mp4", "noise.mp4"):
        assert both_kinds(tmp_path / name) == {ErrorKind.UNREADABLE}, name


def test_a_playlist_opens_no_other_file(tmp_path):
    write_video(tmp_path / "inner.ts")
    playlist = tmp_path / "list.m3u8"
    playlist.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\ninner.ts\n#EXT-X-ENDLIST\n")
    assert both_kinds(playlist) <= {ErrorKind.UNSUPPORTED, ErrorKind.UNREADABLE}


def test_a_playlist_asks_no_server(tmp_path):
    asked = []

    class Noted(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Noted) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        playlist = tmp_path / "list.m3u8"
        playlist.write_text(
            "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n"
            f"http://127.0.0.1:{server.server_port}/inner.ts\n#EXT-X-ENDLIST\n"
        )
        assert both_kinds(playlist) <= {ErrorKind.UNSUPPORTED, ErrorKind.UNREADABLE}
        server.shutdown()
    assert asked == []


def test_sound_with_a_cover_picture_has_no_video(tmp_path):
    path = tmp_path / "cover.mp4"
    with av.open(str(path), "w") as output:
        cover = output.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        sound = output.add_stream("aac", rate=8000, layout="mono")
        output.mux(cover.encode(av.VideoFrame.from_ndarray(barcode(1, 64, 48), "rgb24")))
        output.mux(cover.encode(None))
        write_tone(output, sound, seconds=1.0)
    assert both_kinds(path) == {ErrorKind.NO_VIDEO}


def test_sound_without_picture_has_no_video(tmp_path):
    assert both_kinds(write_sound(tmp_path / "sound.mp4")) == {ErrorKind.NO_VIDEO}


@pytest.mark.parametrize(("name", "codec", "pix_fmt"), [("one.png", "png", "rgb24"), ("one.jpg", "mjpeg", "yuvj420p")])
def test_a_still_picture_is_no_video(tmp_path, name, codec, pix_fmt):
    write_video(tmp_path / name, codec=codec, pix_fmt=pix_fmt, num_frames=1, container="image2")
    assert both_kinds(tmp_path / name) == {ErrorKind.NO_VIDEO}


def test_a_cover_picture_is_not_the_video(tmp_path):
    path = tmp_path / "cover.mkv"
    with av.open(str(path), "w") as output:
        cover = output.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 640, 480, "yuvj420p"
        film = output.add_stream("libx264", rate=25)
        film.width, film.height, film.pix_fmt = 160, 96, "yuv420p"
        cover.disposition = av.stream.Disposition.attached_pic
        for number in range(25):
            if number == 0:
                output.mux(cover.encode(av.VideoFrame.from_ndarray(barcode(1023, 640, 480), "rgb24")))
            output.mux(film.encode(av.VideoFrame.from_ndarray(barcode(number, 160, 96), "rgb24")))
        output.mux(cover.encode(None))
        output.mux(film.encode(None))
    assert numbers(sample_frames(request(path, [0, 500_000], end_us=1_000_000), CONFIG)) == [0, 12]


def test_a_raw_stream_without_times_is_unsupported(tmp_path):
    assert both_kinds(write_video(tmp_path / "raw.h264", container="h264")) == {ErrorKind.UNSUPPORTED}


def test_encrypted_video_is_refused(tmp_path):
    options = {
        "encryption_scheme": "cenc-aes-ctr",
        "encryption_key": "76a6c65c5ea762046bd749a2e632ccbb",
        "encryption_kid": "a7e61c373e219033c21091fa607bf3b8",
    }
    path = write_video(tmp_path / "locked.mp4", container_options=options)
    assert both_kinds(path) == {ErrorKind.ENCRYPTED}


@pytest.mark.parametrize("name", ["big.mp4", "big.mkv", "big.ts", "big.avi"])
def test_frames_above_the_limit_are_refused(tmp_path, name):
    path = write_video(tmp_path / name, size=(640, 480), num_frames=30)
    assert both_kinds(path, DecodeConfig(max_frame_pixels=640 * 479)) == {ErrorKind.TOO_LARGE}
    probe_video(str(path), DecodeConfig(max_frame_pixels=640 * 480))


def test_enormous_frames_are_refused_by_default(tmp_path):
    size = (8192, 4352)
    blank = [np.zeros((size[1], size[0], 3), np.uint8)]
    options = {"preset": "ultrafast"}
    path = write_video(tmp_path / "huge.mkv", size=size, num_frames=1, pictures=blank, codec_options=options)
    assert both_kinds(path) == {ErrorKind.TOO_LARGE}


@pytest.mark.parametrize("name", ["right.mkv", "right.mp4", "right.avi", "right.ts"])
def test_a_wrong_extension_does_not_matter(tmp_path, name):
    path = write_video(tmp_path / name)
    expected = numbers(sample_frames(grid_request(path), CONFIG))
    wrong = path.rename(tmp_path / "wrong.dat")
    assert numbers(sample_frames(grid_request(wrong), CONFIG)) == expected


def test_text_that_is_not_utf8_in_the_metadata_does_not_matter(tmp_path):
    path = write_video(tmp_path / "latin.mkv", metadata={"title": "Gebaersaal"})
    path.write_bytes(path.read_bytes().replace(b"Gebaersaal", "Geb\xe4\xe4rsaal".encode("latin-1")))
    assert numbers(sample_frames(grid_request(path), CONFIG))[:2] == [0, 6]


def test_a_colon_in_a_name_is_no_protocol(tmp_path, monkeypatch):
    write_video(tmp_path / "2024-01-01T12:30.mkv")
    monkeypatch.chdir(tmp_path)
    assert numbers(sample_frames(grid_request("2024-01-01T12:30.mkv"), CONFIG))[:2] == [0, 6]


def test_one_frame_is_a_video(tmp_path):
    path = write_video(tmp_path / "one.mp4", num_frames=1)
    facts = probe_video(str(path), CONFIG)
    assert facts.duration_us == 40_000
    assert numbers(sample_frames(request(path, [0, 1_000_000], end_us=40_000), CONFIG)) == [0, 0]


def test_an_mp4_cut_before_its_index_is_unreadable(tmp_path):
    path = cut(write_video(tmp_path / "cut.mp4"), 0.6)
    assert both_kinds(path) == {ErrorKind.UNREADABLE}


@pytest.mark.parametrize(
    ("name", "options"),
    [("cut.mp4", {"movflags": "faststart"}), ("cut.mkv", {})],
)
def test_a_cut_file_is_as_long_as_what_is_left_and_says_what_its_header_claims(tmp_path, name, options):
    path = cut(write_video(tmp_path / name, num_frames=200, gop=12, container_options=options), 0.5)
    facts = probe_video(str(path), CONFIG)
    assert 1_500_000 < facts.duration_us < 6_000_000
    assert facts.claimed_duration_us == pytest.approx(8_000_000, abs=50_000)
    assert "8.00 s are claimed" in facts.remarks
    frames = sample_frames(request_of(path, facts), CONFIG)
    got = sound_numbers(frames)
    whole = len(got) - 2  # pictures that the last one before the cut refers to may be lost
    assert got[:whole] == [t // 40_000 for t in range(0, 8_000_000, 250_000)][:whole]
    last = request(path, [7_000_000, 7_250_000], end_us=8_000_000)
    assert kind_of(sample_frames, last, CONFIG) is ErrorKind.DECODE_FAILED


def test_a_cut_transport_stream_ends_where_it_ends(tmp_path):
    path = cut(write_video(tmp_path / "cut.ts", num_frames=200), 0.5)
    got = numbers(sample_frames(grid_request(path), CONFIG))
    assert None not in got[:-2]


def test_a_damaged_stretch_has_no_frames_and_the_video_goes_on_after_it(tmp_path):
    path = write_video(tmp_path / "hole.mp4", num_frames=200, gop=12, b_frames=0)
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.pts is not None]
    data = bytearray(path.read_bytes())
    for packet in packets[72:120]:  # 2.88 s to 4.8 s, from key frame to key frame
        data[packet.pos : packet.pos + packet.size] = b"\xff" * packet.size
    path.write_bytes(data)
    asked = grid_request(path)
    frames = sample_frames(asked, CONFIG)
    for sample_us, number in zip(asked.sample_us.tolist(), numbers(frames), strict=True):
        in_hole = 2_880_000 <= sample_us < 4_800_000
        assert number == (None if in_hole else sample_us // 40_000)
    assert "nothing could be decoded from 2.84 s to 4.80 s" in frames.shortfall


def test_a_single_damaged_picture_is_bridged(tmp_path):
    path = write_video(tmp_path / "hole.mp4", num_frames=60, gop=1, b_frames=0)
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.pts is not None][25]
    data = bytearray(path.read_bytes())
    data[packet.pos : packet.pos + packet.size] = b"\xff" * packet.size
    path.write_bytes(data)
    frames = sample_frames(grid_request(path), CONFIG)
    assert numbers(frames)[3:6] == [18, 24, 31]
    assert frames.shortfall == ""


def test_a_long_gap_well_after_a_damaged_picture_is_sparse_and_not_a_hole(tmp_path):
    times_us = [n * 40_000 + (n >= 50) * 1_500_000 for n in range(60)]
    path = write_video(tmp_path / "gap.mkv", num_frames=60, gop=1, b_frames=0, pts_us=times_us)
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.pts is not None][20]
    data = path.read_bytes()
    at = data.index(bytes(packet))
    path.write_bytes(data[:at] + b"\xff" * packet.size + data[at + packet.size :])
    samples = [800_000, 2_000_000, 2_700_000, 3_400_000, 3_500_000]
    frames = sample_frames(request(path, samples, end_us=3_900_000), CONFIG)
    assert numbers(frames) == [19, 49, 49, 49, 50]
    assert frames.shortfall == ""


@pytest.mark.parametrize("name", ["flips.mp4", "flips.mkv", "flips.ts", "flips.avi"])
def test_flipped_bits_leave_the_rest_of_the_video_right(tmp_path, name):
    path = write_video(tmp_path / name, num_frames=100, gop=10)
    facts = probe_video(str(path), CONFIG)
    asked = request(path, grid_us(facts), end_us=facts.start_us + facts.duration_us)
    clean = numbers(sample_frames(asked, CONFIG))
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.pts is not None][40:50]
    start, stop = packets[0].pos, packets[-1].pos + packets[-1].size
    data = bytearray(path.read_bytes())
    generator = np.random.default_rng(7)
    for at in generator.integers(start, stop, 12):
        data[at] ^= 1 << generator.integers(0, 8)
    path.write_bytes(data)
    frames = sample_frames(asked, CONFIG)
    got = sound_numbers(frames)
    # In Matroska no picture of a cluster is trusted that its checksum does not fit.
    first = numbers(frames) if name.endswith(".mkv") else got
    assert first[:6] == clean[:6]
    # AVI counts frames instead of dating them: a lost one shifts those that follow it.
    tolerance = 2 if name.endswith(".avi") else 0
    pairs = zip(got[-5:], clean[-5:], strict=True)
    assert all(number is None or abs(number - expected) <= tolerance for number, expected in pairs)


def test_pictures_that_change_their_size_are_scaled_to_one(tmp_path):
    small, large = tmp_path / "small.ts", tmp_path / "large.ts"
    write_video(small, num_frames=50)
    write_video(large, num_frames=50, size=(320, 192), start_us=2_000_000)
    path = tmp_path / "both.ts"
    path.write_bytes(small.read_bytes() + large.read_bytes())
    facts = probe_video(str(path), CONFIG)
    got = numbers(sample_frames(request(path, grid_us(facts), end_us=facts.start_us + facts.duration_us), CONFIG))
    assert got[:8] == [0, 6, 12, 18, 25, 31, 37, 43]
    assert np.diff(got[8:15]).tolist() in ([6, 6, 6, 7, 6, 6], [6, 6, 7, 6, 6, 6], [6, 7, 6, 6, 6, 7])


def test_a_header_that_says_a_video_lasts_for_years_is_not_believed(tmp_path):
    path = write_video(tmp_path / "years.mkv", num_frames=20)
    data = path.read_bytes()
    place = data.index(b"\x44\x89\x88") + 3  # the segment's Duration, a 64-bit float of milliseconds
    path.write_bytes(data[:place] + struct.pack(">d", 2.6e14) + data[place + 8 :])
    facts = probe_video(str(path), CONFIG)
    assert facts.duration_us == 800_000
    assert "260,000,000,000.00 s are claimed, 0.80 s found" in facts.remarks


def test_pictures_that_are_shown_for_months_are_refused(tmp_path):
    times_us = [day * 24 * US_PER_HOUR for day in range(40)]
    path = write_video(tmp_path / "months.mkv", num_frames=40, pts_us=times_us)
    with pytest.raises(DecodeError, match=r"says that it lasts [\d,]+ hours, expected 720 at most") as caught:
        probe_video(str(path), CONFIG)
    assert caught.value.kind is ErrorKind.UNREADABLE


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_matroska_that_does_not_fit_together_is_told_of_packets_that_were_read_ahead(tmp_path, codec):
    path = write_video(tmp_path / "v.mkv", codec=codec, num_frames=100, gop=25)
    facts = probe_video(str(path), CONFIG)
    whole = sample_frames(request_of(path, facts, step_us=40_000), CONFIG)
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        lost = [packet for packet in packets if 12 <= packets.index(packet) < 32]
        first, end = lost[0].pos, lost[-1].pos
    data = path.read_bytes()
    path.write_bytes(data[: first + 5] + b"\0\0\0" + data[end:])
    frames = sample_frames(request_of(path, facts, step_us=40_000), CONFIG)
    for number, (row, is_sound) in enumerate(zip(frames.frame_of_sample.tolist(), frames.is_sound, strict=True)):
        if is_sound:
            assert np.array_equal(frames.pixels[row], whole.pixels[whole.frame_of_sample[number]])
    assert 8 < frames.is_sound.sum() < 85


def test_the_last_picture_of_a_transport_stream_that_ends_within_a_packet_is_not_trusted(tmp_path):
    path = write_video(tmp_path / "v.ts", codec="mpeg2video", num_frames=50, b_frames=0, size=(320, 192))
    data = path.read_bytes()
    for kept, is_trusted in ((len(data) * 3 // 4 // 188 * 188, True), (len(data) * 3 // 4 // 188 * 188 + 100, False)):
        path.write_bytes(data[:kept])
        facts = probe_video(str(path), CONFIG)
        frames = sample_frames(request_of(path, facts, step_us=40_000), CONFIG)
        assert bool(frames.is_sound[-1]) is is_trusted
        assert frames.is_sound[:-2].all()


def assert_told(path, facts, whole, *, at):
    """What is served as sound is as in the unharmed video, and the picture `at` is not."""
    frames = sample_frames(request_of(path, facts, step_us=40_000), CONFIG)
    is_sound = frames.is_sound
    for number in np.flatnonzero(is_sound).tolist():
        expected = whole.pixels[whole.frame_of_sample[number]]
        assert np.array_equal(frames.pixels[frames.frame_of_sample[number]], expected), number
    assert not is_sound[at]
    assert is_sound[:20].all()
    assert is_sound[-15:-1].all()


def made(path, **options):
    write_video(path, num_frames=100, gop=25, **options)
    facts = probe_video(str(path), CONFIG)
    whole = sample_frames(request_of(path, facts, step_us=40_000), CONFIG)
    assert whole.is_sound.all()
    with av.open(str(path)) as container:
        return facts, whole, [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]


X264_STEADY = {"x264-params": "scenecut=0"}


def test_a_picture_that_its_own_hash_contradicts_is_told(tmp_path):
    path = tmp_path / "v.mp4"
    params = "log-level=none:pools=1:keyint=25:bframes=0:hash=1:scenecut=0"
    pictures = [moving(number) for number in range(100)]
    facts, whole, places = made(path, codec="libx265", codec_options={"x265-params": params}, pictures=pictures)
    data = path.read_bytes()
    for byte in range(60, 260, 20):  # behind the headers of a key frame
        changed = bytearray(data)
        changed[places[25][0] + byte] ^= 4
        path.write_bytes(changed)
        assert_told(path, facts, whole, at=30)


@pytest.mark.parametrize("name", ["v.flv", "v.ts"])
def test_a_picture_that_is_missing_is_missed_by_those_that_refer_to_it(tmp_path, name):
    path = tmp_path / f"whole-{name}"
    _, whole, _ = made(path, b_frames=0, codec_options=X264_STEADY)
    without = tmp_path / name
    with av.open(str(path)) as given, av.open(str(without), "w") as output:
        copy = output.add_stream_from_template(given.streams.video[0])
        for number, packet in enumerate(given.demux(video=0)):
            if packet.size and number != 30:
                packet.stream = copy
                output.mux(packet)
    frames = sample_frames(request_of(without, probe_video(str(without), CONFIG), step_us=40_000), CONFIG)
    assert frames.is_sound[:29].all()
    assert not frames.is_sound[31:49].any()
    assert frames.is_sound[-40:].all()
    assert np.array_equal(frames.pixels[-1], whole.pixels[-1])


def test_an_flv_tag_of_another_length_is_told_though_it_was_read_while_the_file_was_opened(tmp_path):
    path = tmp_path / "v.flv"
    facts, whole, places = made(path, b_frames=0, codec_options=X264_STEADY)
    data, (at, size) = path.read_bytes(), places[25]
    path.write_bytes(data[: at + size // 2] + bytes(50) + data[at + size // 2 :])
    assert_told(path, facts, whole, at=30)


def test_bytes_between_packets_of_a_transport_stream_are_told(tmp_path):
    path = tmp_path / "v.ts"
    facts, whole, places = made(path, codec="mpeg2video", b_frames=0)
    data, (at, _) = path.read_bytes(), places[30]
    path.write_bytes(data[: at + 60] + b"\x55" * 500 + data[at + 60 :])
    assert_told(path, facts, whole, at=32)


def test_vp8_whose_packets_end_too_early_is_told(tmp_path):
    path = tmp_path / "v.webm"
    facts, _, places = made(path, codec="libvpx", codec_options={"deadline": "realtime", "cpu-used": "8"})
    data = path.read_bytes()
    num_told = 0
    for at, size in places[30:46]:
        path.write_bytes(data[: at + 10] + b"\xff" * (size - 10) + data[at + size :])
        frames = sample_frames(request_of(path, facts, step_us=40_000), CONFIG)
        assert frames.is_sound[:24].all()
        num_told += not frames.is_sound[46:49].any()
    assert num_told > 8  # a decoder of one thread tells none of them
