"""`nrray simulate`: rendered resuscitations with exact truth, one Ray task per case."""

import time
from dataclasses import dataclass
from functools import partial

from nrray.console.progress import Progress
from nrray.console.reporter import Reporter
from nrray.console.transcript import Transcript
from nrray.errors import StorageError
from nrray.pipelines.on_ray.session import ray_session
from nrray.pipelines.on_ray.tasks import completed_calls
from nrray.report.run_page import RunFile, RunPage
from nrray.simulate import SimulateConfig, render_case, simulated_case, write_truth
from nrray.storage import absolute_uri, is_local
from nrray.types import hours_of
from nrray.wording import counted


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """The folder of a simulation, and the amount of video in it."""

    folder: str
    num_cases: int
    num_videos: int
    video_us: int
    seconds: float


def simulate(config: SimulateConfig, reporter: Reporter) -> Simulation:
    """Render all cases over all cores and write their truth. Raises StorageError, ResourcesError."""
    if not is_local(config.output):
        raise StorageError(f"{config.output}: simulated videos are written to a file system; give a folder")
    folder = absolute_uri(config.output)
    cases = [simulated_case(config, index) for index in range(config.num_cases)]
    video_us = sum(camera.duration_us for case in cases for camera in case.cameras)

    num_videos, started = 0, time.monotonic()
    with (
        Progress(
            console=reporter.console,
            verb="simulate",
            total_units=len(cases),
            total_us=video_us,
            unit="cases",
            quiet=reporter.is_silent,
        ) as progress,
        ray_session(),
    ):
        for rendered in completed_calls(
            partial(_num_rendered, config, folder),
            range(config.num_cases),
            described=lambda index: f"rendering case {cases[index].case_id}",
        ):
            num_videos += rendered.result
            cameras = cases[rendered.argument].cameras
            progress.add(video_us=sum(camera.duration_us for camera in cameras), error_kind=None)
    write_truth(cases, folder)
    return Simulation(
        folder=folder,
        num_cases=len(cases),
        num_videos=num_videos,
        video_us=video_us,
        seconds=round(time.monotonic() - started, 1),
    )


def simulation_page(simulation: Simulation, config: SimulateConfig, transcript: Transcript) -> RunPage:
    """The page of a simulation."""
    return RunPage(
        title=f"Simulated archive {simulation.folder}",
        outcome=f"{counted(simulation.num_cases, 'case')}, {counted(simulation.num_videos, 'video')}, "
        f"{hours_of(simulation.video_us):.2f} h, with "
        f"exact truth. Drawn scenes: figures on them say nothing of real videos.",
        facts=[
            ("renderer", config.renderer.value),
            ("seed", str(config.seed)),
            ("rendered in", f"{simulation.seconds:.0f} s"),
        ],
        transcript=transcript,
        files=[
            RunFile(file="videos", meaning="the archive"),
            RunFile(file="truth", meaning="annotations: what really goes on, and when"),
            RunFile(file="cases.csv", meaning="the case that each video shows"),
        ],
    )


def _num_rendered(config: SimulateConfig, folder: str, index: int) -> int:
    """Render case `index`; returns its number of videos."""
    return len(render_case(simulated_case(config, index), folder))
