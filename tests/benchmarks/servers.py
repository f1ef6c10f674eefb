"""The same windows through engine `transformers` and through a server of the same weights: the share of answers that agree.

    python -m tests.benchmarks.servers [--models embedded-base random] [--windows 12] [--url URL]

A server `transformers serve` is started for each model, unless one is named that has its weights. `embedded-base` is the
package's own, taught by images of three frames, with windows of a simulated case; `random` has random weights, windows of
coloured blocks, and other words for every one. Frames go as PNG and as JPEG, bare and behind their times as text: the engine
in the labeler shows them bare, so that the first way alone is the same prompt.
"""

import argparse
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from nrray.config import load_config
from nrray.console.reporter import Reporter
from nrray.labels import read_label_set
from nrray.models import CheckpointChoice, Execution, ResolvedCheckpoint, YesNoStrategy, resolve_checkpoint
from nrray.models.engines import OpenAiSection, Question, TransformersSection
from nrray.models.frame_stacking import stacked
from nrray.models.measure import synthetic_frames
from nrray.pipelines.relabel.graph import stages_of
from nrray.pipelines.relabel.job import RelabelConfig, resolved_job
from nrray.pipelines.relabel.run import unit_requests
from nrray.pipelines.scan.run import ScanConfig, scan
from nrray.pipelines.simulate import simulate
from nrray.results.journal import Journal
from nrray.sampling import Sampling
from nrray.simulate import SimulateConfig
from nrray.tables import rows_from_table
from nrray.types import DecodedUnit, Frames
from tests.checkpoints import fast_vlm

WAYS = (("png", False), ("jpeg", False), ("png", True))
CAPTION = Question(name="caption", text="Describe what is seen.", max_tokens=24)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["embedded-base", "random"])
    parser.add_argument("--windows", type=int, default=12)
    parser.add_argument("--url", help="of a server that has the weights of the one model")
    arguments = parser.parse_args()
    print(
        "| model | server | frames | times told | equal yes/no | equal captions | different captions | s/answer | s/answer here |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        for name in arguments.models:
            folder = Path(temporary) / "random"
            if name == "random":
                fast_vlm(folder, read_label_set())
            checkpoint = resolve_checkpoint(CheckpointChoice(path=str(folder) if name == "random" else name))
            frames = windows_of(checkpoint, Path(temporary) / "case", num_windows=arguments.windows)
            if arguments.url is None:
                with transformers_serve(checkpoint.folder) as url:
                    compare(name, "transformers serve", checkpoint, frames, url=url)
            else:
                compare(name, arguments.url, checkpoint, frames, url=arguments.url)


def compare(name: str, server: str, checkpoint: ResolvedCheckpoint, frames: Frames, *, url: str) -> None:
    """A row for each way of showing frames."""
    questions = [*YesNoStrategy().asked(checkpoint, read_label_set()), CAPTION]
    started = time.perf_counter()
    here = TransformersSection().loaded(checkpoint, execution=Execution()).ask(frames, questions)
    seconds_here = (time.perf_counter() - started) / here.num_tokens.size
    shown = frames if checkpoint.inputs is None else stacked(frames, checkpoint.inputs.frame_stacking)
    for image_format, has_times in WAYS:
        section = OpenAiSection(
            url=url, frame_times=has_times, image_format=image_format, concurrency=2, timeout_seconds=600
        )
        engine = section.loaded(section.resolved(CheckpointChoice()), execution=Execution())
        started = time.perf_counter()
        there = engine.ask(shown, questions)
        seconds = (time.perf_counter() - started) / there.num_tokens.size
        engine.close()
        is_equal = np.array(here.texts) == np.array(there.texts)
        spoken, captions = is_equal[:, :-1], is_equal[:, -1]
        cells = [
            name,
            server,
            image_format,
            "yes" if has_times else "no",
            f"{spoken.sum()}/{spoken.size}",
            f"{captions.sum()}/{captions.size}",
            len({texts[-1] for texts in here.texts}),
            f"{seconds:.2f}",
            f"{seconds_here:.2f}",
        ]
        print(f"| {' | '.join(map(str, cells))} |", flush=True)


def windows_of(checkpoint: ResolvedCheckpoint, folder: Path, *, num_windows: int) -> Frames:
    """Windows of a simulated case, sampled as the model was trained."""
    if checkpoint.inputs is None:
        sampling = Sampling(window_seconds=1, stride_seconds=1, frames_per_second=4)
        noise = synthetic_frames(sampling, num_windows=num_windows)
        coarse = np.random.default_rng(1).integers(0, 256, (len(noise.pixels), 4, 4, 3), np.uint8)
        return replace(noise, pixels=np.ascontiguousarray(coarse.repeat(32, axis=1).repeat(32, axis=2)))
    quiet = Reporter(is_quiet=True)
    simulate(SimulateConfig(output=str(folder), num_cases=1, case_seconds=num_windows + 4), quiet)
    scan(ScanConfig(archive=str(folder / "videos"), output=str(folder / "scan")), quiet)
    settings = [f"manifest={folder / 'scan' / 'manifest.parquet'}", f"output={folder / 'out'}", "strategy.kind=yes_no"]
    job = resolved_job(load_config(RelabelConfig, None, [*settings, f"model.path={checkpoint.path}"]))
    Journal(job.output, job.run_id).create()
    decode = stages_of(job, on_gpu=False)[0]
    units = job.plan.units.append_column("attempts", pa.array([0] * job.plan.units.num_rows, pa.int32()))
    [table] = decode.actor(**decode.arguments)(unit_requests(units, job.manifest).slice(0, 1))
    [unit] = rows_from_table(table, DecodedUnit)
    return unit.frames(frames_per_second=job.sampling.frames_per_second)


@contextmanager
def transformers_serve(folder: Path) -> Iterator[str]:
    """The address of a server of a checkpoint on this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = "import sys; from transformers.cli.transformers import main; sys.argv[0] = 'transformers'; main()"
    words = ["serve", str(folder), "--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", "float32"]
    with process([sys.executable, "-c", program, *words], port=port):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def process(command: Sequence[str], *, port: int) -> Iterator[None]:
    """A server's process, from when it listens on."""
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while socket.socket().connect_ex(("127.0.0.1", port)) != 0:
            if server.poll() is not None:
                raise SystemExit(f"the server ended with {server.returncode}: {' '.join(command[:6])}")
            time.sleep(0.5)
        yield
    finally:
        server.terminate()
        server.wait(timeout=60)


if __name__ == "__main__":
    main()
