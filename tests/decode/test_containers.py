"""What containers say of themselves: chains of chunks, tables, scrambled packets, records."""

import io
import struct

import pytest

from nrray.decode import probe_video, sample_frames
from nrray.decode.avi_chunks import first_break
from nrray.decode.boxes import contradicting_tables, dolby_vision_profile
from nrray.decode.transport_stream import is_scrambled
from nrray.errors import DecodeError, ErrorKind
from nrray.types import ClockKind
from tests.decode.asking import CONFIG, request_of, sound_numbers
from tests.videos import write_video


@pytest.fixture
def avi(tmp_path):
    return write_video(tmp_path / "v.avi", codec="mjpeg", pix_fmt="yuvj420p", num_frames=100)


def test_a_whole_avi_is_not_broken(avi):
    assert first_break(io.BytesIO(avi.read_bytes())) is None
    assert probe_video(str(avi), CONFIG).clock is ClockKind.STEADY


def test_behind_a_break_the_pictures_of_an_avi_are_not_believed(avi):
    data = avi.read_bytes()
    at = len(data) // 2
    avi.write_bytes(data[:at] + data[at + 3000 :])
    broken = first_break(io.BytesIO(avi.read_bytes()))
    assert not broken.is_tail
    assert at - 4000 < broken.byte < at + 4000
    facts = probe_video(str(avi), CONFIG)
    assert facts.clock is ClockKind.LOST
    got = sound_numbers(sample_frames(request_of(avi, facts), CONFIG))
    assert all(number in (None, t * 25 // 4) for t, number in enumerate(got))
    assert got[-4:] == [None] * 4


def test_an_avi_that_was_cut_off_is_broken_in_its_last_chunk_alone(avi):
    avi.write_bytes(avi.read_bytes()[: avi.stat().st_size // 2])
    broken = first_break(io.BytesIO(avi.read_bytes()))
    assert broken.is_tail
    facts = probe_video(str(avi), CONFIG)
    got = sound_numbers(sample_frames(request_of(avi, facts), CONFIG))
    assert got[:-2] == [t * 25 // 4 for t in range(len(got) - 2)]


def test_tables_of_an_mp4_that_contradict_each_other_are_no_index(tmp_path):
    path = write_video(tmp_path / "v.mp4", num_frames=100)
    data = bytearray(path.read_bytes())
    assert contradicting_tables(io.BytesIO(data)) == ""
    first_run = data.index(b"ctts") + 12
    (count,) = struct.unpack_from(">I", data, first_run)
    struct.pack_into(">I", data, first_run, count + 8)
    assert "stts has 100 samples, ctts has 108 samples" in contradicting_tables(io.BytesIO(data))
    path.write_bytes(data)
    with pytest.raises(DecodeError, match=r"index of .* contradicts itself") as caught:
        probe_video(str(path), CONFIG)
    assert caught.value.kind is ErrorKind.UNREADABLE


def test_a_fragmented_mp4_has_no_tables_to_contradict(tmp_path):
    path = write_video(tmp_path / "v.mp4", container_options={"movflags": "frag_keyframe+empty_moov"})
    assert contradicting_tables(io.BytesIO(path.read_bytes())) == ""


@pytest.mark.parametrize("size", [188, 192])
def test_a_scrambled_transport_stream_is_encrypted(tmp_path, size):
    path = write_video(tmp_path / "v.ts", num_frames=50)
    packets = [bytearray(path.read_bytes()[at : at + 188]) for at in range(0, path.stat().st_size, 188)]
    pid = 256
    for packet in packets:
        if (packet[1] & 0x1F) << 8 | packet[2] == pid:
            packet[3] |= 0x80
    closed = b"".join(bytes(size - 188) + bytes(packet) for packet in packets)
    assert is_scrambled(io.BytesIO(closed), pid=pid)
    assert not is_scrambled(io.BytesIO(closed), pid=17)
    assert not is_scrambled(io.BytesIO(path.read_bytes()), pid=pid)


def test_a_record_of_dolby_vision_tells_its_profile():
    record = struct.pack(">BBBB", 1, 0, 8 << 1, 0)
    assert dolby_vision_profile(io.BytesIO(b"moov....dvvC" + record)) == 8
    assert dolby_vision_profile(io.BytesIO(b"moov....dvvC\xff\xff\xff")) is None
    assert dolby_vision_profile(io.BytesIO(b"moov")) is None


@pytest.mark.parametrize("name", [b"edts", b"ctts", b"elst"])
def test_a_box_of_an_mp4_that_lost_its_name_is_missed(tmp_path, name):
    path = write_video(tmp_path / "v.mp4", num_frames=50)
    data = bytearray(path.read_bytes())
    at = data.rindex(name)
    data[at + 3] ^= 0x10
    path.write_bytes(data)
    with pytest.raises(DecodeError, match=f"one bit away from '{name.decode()}'") as caught:
        probe_video(str(path), CONFIG)
    assert caught.value.kind is ErrorKind.UNREADABLE


def test_a_box_of_a_maker_is_no_damage(tmp_path):
    path = write_video(tmp_path / "v.mp4", num_frames=50)
    data = path.read_bytes()
    at = data.index(b"mvhd") - 4
    box = (12).to_bytes(4, "big") + b"XMAK" + b"own!"
    (size,) = struct.unpack(">I", data[at - 8 : at - 4])
    path.write_bytes(data[: at - 8] + struct.pack(">I", size + 12) + data[at - 4 : at] + box + data[at:])
    assert probe_video(str(path), CONFIG).duration_us == 2_000_000


def test_an_avi_whose_list_of_frames_lost_its_name_is_not_believed(avi):
    data = avi.read_bytes()
    assert first_break(io.BytesIO(data.replace(b"movi", b"mo6i", 1))).byte == 0
