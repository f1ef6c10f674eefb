"""A real server: a checkpoint with random weights, whose words change with every picture, says the same through
`transformers serve` as through transformers."""

import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from transformers.utils.import_utils import is_serve_available

from nrray.labels import read_label_set
from nrray.models import CheckpointChoice, Execution, resolve_checkpoint
from nrray.models.engines import OpenAiSection, Question, TransformersSection
from nrray.models.measure import synthetic_frames
from nrray.sampling import Sampling
from nrray.types import Frames
from tests.checkpoints import fast_vlm
from tests.pipelines.support import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not is_serve_available(), reason="transformers[serving] is not installed"),
]

QUESTIONS = (
    Question(name="caption", text="Describe what is seen.", max_tokens=16),
    Question(name="hand", text="Is a hand visible? Answer with one word, yes or no.", max_tokens=4),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fast_vlm(tmp_path_factory.mktemp("served") / "random", read_label_set())


@pytest.fixture(scope="module")
def url(folder):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = "import sys; from transformers.cli.transformers import main; sys.argv[0] = 'transformers'; main()"
    words = ["serve", str(folder), "--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", "float32"]
    server = subprocess.Popen(
        [sys.executable, "-c", program, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

    def is_up() -> bool:
        assert server.poll() is None, "the server ended"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_until(is_up, what="the server listens")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=60)


def blocks(num_windows: int) -> Frames:
    """Windows of coloured blocks, each of its own: the model says other things of them."""
    sampling = Sampling(window_seconds=1, stride_seconds=1, frames_per_second=4)
    unit = synthetic_frames(sampling, num_windows=num_windows)
    coarse = np.random.default_rng(1).integers(0, 256, (len(unit.pixels), 4, 4, 3), np.uint8)
    return replace(unit, pixels=np.ascontiguousarray(coarse.repeat(32, axis=1).repeat(32, axis=2)))


def test_the_same_weights_say_the_same_through_the_server(folder, url):
    frames = blocks(6)
    local = TransformersSection().loaded(resolve_checkpoint(CheckpointChoice(path=str(folder))), execution=Execution())
    section = OpenAiSection(url=url, frame_times=False, timeout_seconds=300, concurrency=2)
    model = section.resolved(CheckpointChoice())
    assert model.sees_images is True
    assert model.tells_probabilities is False
    served = section.loaded(model, execution=Execution())
    expected, found = local.ask(frames, QUESTIONS), served.ask(frames, QUESTIONS)
    served.close()
    assert len({texts[0] for texts in expected.texts}) > 1  # else it would be no proof
    assert found.texts == expected.texts
