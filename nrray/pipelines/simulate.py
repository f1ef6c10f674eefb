"""`nrray simulate`: rendered resuscitations with exact truth, one Ray task per case."""

from dataclasses import dataclass

import ray

from nrray.console.progress import Progress
from nrray.console.reporter import Reporter
from nrray.errors import NrrayError, StorageError
from nrray.pipelines.on_ray.session import error_of_ours, ray_session
from nrray.simulate import SimulateConfig, render_case, simulated_case, write_truth
from nrray.storage import absolute_uri, is_local


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """What was written where."""

    folder: str
    num_cases: int
    num_videos: int
    video_us: int


def simulate(config: SimulateConfig, reporter: Reporter) -> Simulation:
    """Render all cases over all cores and write their truth. Raises StorageError, ResourcesError."""
    if not is_local(config.output):
        raise StorageError(f"{config.output}: simulated videos are written to a file system; give a folder")
    folder = absolute_uri(config.output)
    cases = [simulated_case(config, index) for index in range(config.num_cases)]
    video_us = sum(camera.duration_us for case in cases for camera in case.cameras)

    num_videos = 0
    with ray_session():
        rendered = ray.remote(num_cpus=1, max_retries=2)(_rendered)
        waiting = {rendered.remote(config, index, folder): index for index in range(config.num_cases)}
        with Progress(
            console=reporter.console,
            verb="simulate",
            total_units=len(waiting),
            total_us=video_us,
            quiet=reporter.is_json,
        ) as progress:
            while waiting:
                done, _ = ray.wait(list(waiting), num_returns=1)
                case = cases[waiting.pop(done[0])]
                try:
                    num_videos += ray.get(done[0])
                except ray.exceptions.RayError as error:
                    raise error_of_ours(error) or NrrayError(
                        f"rendering case {case.case_id} failed: {error}"
                    ) from error
                progress.add(video_us=sum(camera.duration_us for camera in case.cameras), error_kind=None)
    write_truth(cases, folder)
    return Simulation(folder=folder, num_cases=len(cases), num_videos=num_videos, video_us=video_us)


def _rendered(config: SimulateConfig, index: int, folder: str) -> int:
    """Render case `index`; returns how many videos it has."""
    return len(render_case(simulated_case(config, index), folder))
