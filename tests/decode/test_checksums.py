"""Checksums of Matroska clusters: what does not fit them is told, and a file that has none, or is cut off, loses nothing."""

from io import BytesIO

import av
import numpy as np
import pytest

from nrray.decode import probe_video, sample_frames
from nrray.decode.checksums import ClusterChecksums
from tests.decode.asking import CONFIG, request_of
from tests.videos import write_video


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checksums")
    return write_video(folder / "v.mkv", num_frames=100, gop=25, container_options={"cluster_time_limit": "1000"})


def places(path) -> list[int]:
    with av.open(str(path)) as container:
        return [packet.pos for packet in container.demux(video=0) if packet.size]


def shown_us(path) -> list[int]:
    with av.open(str(path)) as container:
        return [packet.pts for packet in container.demux(video=0) if packet.size]


def contradicted(data: bytes, at: list[int]) -> list[bool]:
    checksums = ClusterChecksums(BytesIO(data))
    return [checksums.contradict(byte) for byte in at]


def test_what_fits_is_not_contradicted(video):
    at = places(video)
    assert contradicted(video.read_bytes(), at) == [False] * 100
    assert contradicted(video.read_bytes(), at[::-1]) == [False] * 100


def cluster_of(data: bytes, at: list[int], number: int) -> list[bool]:
    """Which packets lie in the cluster of packet `number`."""
    starts = [data.rindex(b"\x1f\x43\xb6\x75", 0, byte) for byte in at]
    return [start == starts[number] for start in starts]


def test_a_bit_contradicts_its_cluster_and_no_other(video):
    at, data = places(video), bytearray(video.read_bytes())
    data[at[60] + 10] ^= 1
    cluster = cluster_of(bytes(data), at, 60)
    assert 10 < sum(cluster) < 60
    assert contradicted(bytes(data), at) == cluster


def test_bytes_of_no_cluster_are_contradicted(video):
    at, data = places(video), video.read_bytes()
    start = data.rindex(b"\x1f\x43\xb6\x75", 0, at[60])
    changed = data[:start] + b"\0" * 4 + data[start + 4 :]
    assert contradicted(changed, at) == cluster_of(data, at, 60)


@pytest.mark.parametrize("kept", [0.3, 0.55, 0.9])
def test_a_cluster_that_is_cut_off_cannot_be_judged(video, kept):
    data = video.read_bytes()
    data = data[: int(len(data) * kept)]
    assert not any(contradicted(data, [byte for byte in places(video) if byte < len(data)]))


@pytest.mark.parametrize(("name", "options"), [("v.webm", {"codec": "libvpx-vp9"}), ("v.mkv", {})])
def test_a_file_without_checksums_is_not_contradicted(tmp_path, name, options):
    written = {"write_crc32": "0"} if name == "v.mkv" else {}
    path = write_video(tmp_path / name, num_frames=50, container_options=written, **options)
    data, at = bytearray(path.read_bytes()), places(path)
    data[at[20] + 5] ^= 1
    assert not any(contradicted(bytes(data), at))


def test_a_writer_that_never_counts_right_is_not_believed(video):
    data, at = bytearray(video.read_bytes()), places(video)
    place = data.find(b"\xbf\x84")
    while place >= 0:
        data[place + 2] ^= 1
        place = data.find(b"\xbf\x84", place + 1)
    assert not any(contradicted(bytes(data), at))


def test_noise_ends_the_search(video):
    data, generator = video.read_bytes(), np.random.default_rng(0)
    for _ in range(100):
        changed = bytearray(data[: generator.integers(0, len(data))])
        for byte in generator.integers(0, max(1, len(changed)), 5 if changed else 0):
            changed[byte] = generator.integers(256)
        checksums = ClusterChecksums(BytesIO(bytes(changed)))
        checksums.contradict(int(generator.integers(0, len(data))))


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_a_wrong_bit_that_no_decoder_tells_is_told(tmp_path, codec):
    path = write_video(
        tmp_path / "v.mkv", codec=codec, num_frames=100, gop=25, container_options={"cluster_time_limit": "1000"}
    )
    facts = probe_video(str(path), CONFIG)
    whole = sample_frames(request_of(path, facts, step_us=40_000), CONFIG)
    assert whole.is_sound.all()
    at, data = places(path), path.read_bytes()
    for number in range(30, 45):
        changed = bytearray(data)
        changed[at[number] + 18] ^= 4
        path.write_bytes(changed)
        frames = sample_frames(request_of(path, facts, step_us=40_000), CONFIG)
        cluster = np.array(cluster_of(data, at, number))[np.argsort(shown_us(path), kind="stable")]
        assert not (frames.is_sound & cluster).any()
        for row in np.flatnonzero(frames.is_sound).tolist():
            assert np.array_equal(frames.pixels[frames.frame_of_sample[row]], whole.pixels[whole.frame_of_sample[row]])
        assert frames.is_sound.sum() > 15
