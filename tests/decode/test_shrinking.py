"""A file that gets shorter while it is decoded gives frames or a named failure, never a hang and never another picture."""

import os
import threading

import pytest

from nrray.decode import DecodeConfig, GuardedDecoder, probe_video
from nrray.errors import DecodeError, ErrorKind
from tests.decode.asking import numbers, request_of, sound_numbers
from tests.videos import write_video


def frames_or_failure(decoder, request):
    try:
        return decoder.sample(request)
    except DecodeError as error:
        return error.kind


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv", "v.avi"])
@pytest.mark.parametrize("after_seconds", [0.0, 0.02, 0.1])
def test_a_file_that_shrinks_in_mid_decode(tmp_path, name, after_seconds):
    path = write_video(tmp_path / name, num_frames=600, size=(320, 192))
    request = request_of(path, probe_video(str(path), DecodeConfig()))
    with GuardedDecoder(DecodeConfig()) as decoder:
        whole = numbers(decoder.sample(request))
        shrink = threading.Timer(after_seconds, os.truncate, (path, path.stat().st_size // 3))
        shrink.start()
        found = frames_or_failure(decoder, request)
        shrink.join()
        if isinstance(found, ErrorKind):
            assert found in {ErrorKind.DECODE_FAILED, ErrorKind.UNREADABLE, ErrorKind.NO_FRAMES, ErrorKind.CHANGED}
        else:
            answered = [(got, right) for got, right in zip(sound_numbers(found), whole, strict=True) if got is not None]
            assert [got for got, _ in answered] == [right for _, right in answered]
        (tmp_path / "again").mkdir()
        again = write_video(tmp_path / "again" / name, num_frames=600, size=(320, 192))
        assert numbers(decoder.sample(request_of(again, probe_video(str(again), DecodeConfig())))) == whole
