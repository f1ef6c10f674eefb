"""The decoder's process: requests on stdin, answers on the original stdout. Prints of libraries go to stderr. It ends with
its parent, however that ends."""

import contextlib
import ctypes
import gc
import os
import select
import signal
import sys
import threading
from typing import Any, BinaryIO

from nrray.decode import wire
from nrray.decode.backends import check_backend, sample_frames
from nrray.decode.probe import probe_video
from nrray.decode.request import DecodeConfig
from nrray.errors import DecodeError, ErrorKind

_PR_SET_PDEATHSIG = 1
_PARENT_CHECK_MS = 500


def main() -> None:
    """Answer requests until stdin ends. The first answer says that the imports are done."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    _die_with_parent(requests.fileno())
    _write(answers, wire.packed({"answer": "ready"}))
    gc.freeze()  # objects of the imports are never garbage
    while True:
        prefix = requests.read(wire.PREFIX.size)
        if len(prefix) < wire.PREFIX.size:
            return
        num_header_bytes, _ = wire.PREFIX.unpack(prefix)
        _answer(_parsed(requests.read(num_header_bytes)), answers)
        gc.collect()  # PyAV's containers are in cycles: megabytes of decoder behind objects too few for a collection


def _parsed(text: bytes) -> dict[str, Any]:
    import json

    header: dict[str, Any] = json.loads(text)
    return header


def _answer(header: dict[str, Any], answers: BinaryIO) -> None:
    try:
        config = DecodeConfig.model_validate(header["config"])
        if header["ask"] == "probe":
            _write(answers, wire.packed(wire.facts_header(probe_video(header["uri"], config))))
            return
        if header["ask"] == "check":
            check_backend(config)
            _write(answers, wire.packed(wire.fine_header()))
            return
        frames = sample_frames(wire.frame_request(header), config)
    except DecodeError as error:
        _write(answers, wire.packed(wire.error_header(error.kind, str(error))))
    except Exception as error:
        # An unforeseen error of one video must not end the process: it becomes that video's row.
        message = f"unexpected {type(error).__name__}: {error}"
        _write(answers, wire.packed(wire.error_header(ErrorKind.DECODE_FAILED, message)))
    else:
        pixels = frames.pixels if frames.pixels.flags.c_contiguous else frames.pixels.copy()
        _write(answers, wire.packed(wire.frames_header(frames), pixels.nbytes))
        _write(answers, pixels.reshape(-1).data)


def _write(answers: BinaryIO, data: bytes | memoryview) -> None:
    left = memoryview(data)
    while left:
        left = left[answers.write(left) :]


def _die_with_parent(stdin: int) -> None:
    parent = os.getppid()
    if sys.platform == "linux":
        # Also ends a child that hangs in native code and holds the interpreter's lock.
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_watch_parent, args=(stdin, parent), daemon=True).start()


def _watch_parent(stdin: int, parent: int) -> None:
    poll = select.poll()
    poll.register(stdin, 0)  # POLLHUP alone: the parent's end of the pipe is closed
    while not poll.poll(_PARENT_CHECK_MS) and os.getppid() == parent:
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
