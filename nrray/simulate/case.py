"""A simulated case: its scenario, appearance and cameras, drawn from one seed. Pure; no pixels."""

from dataclasses import dataclass

import numpy as np

from nrray.simulate.appearance import Appearance, View, drawn_appearance, drawn_view
from nrray.simulate.config import SimulateConfig
from nrray.simulate.scenario import Scenario, activity_spans, drawn_scenario
from nrray.types import US_PER_SECOND, Case


@dataclass(frozen=True, kw_only=True)
class Camera:
    """One video of a case. Its first frame stands at `start_us` of the case's clock."""

    name: str
    video_path: str  # relative to the folder `videos`
    start_us: int
    num_frames: int
    duration_us: int
    view: View


@dataclass(frozen=True, kw_only=True)
class SimulatedCase:
    """All properties that decide a case's truth and pixels."""

    case_id: str
    config: SimulateConfig
    scenario: Scenario
    family: str  # of appearance: renderers draw properties of their own within it
    appearance: Appearance
    cameras: tuple[Camera, ...]
    birth_us: int  # on the case's clock; before the newborn comes to the table
    site: str


def simulated_case(config: SimulateConfig, index: int) -> SimulatedCase:
    """Case `index` of a seed; the same whatever `config.num_cases` is."""
    random = np.random.default_rng([config.seed, index])
    scenario = drawn_scenario(random, config.case_seconds)
    family = config.appearance[index % len(config.appearance)]
    appearance = drawn_appearance(family, [config.seed, index])
    case_id = f"case-{config.seed}-{index:05d}"
    rate = config.frames_per_second
    cameras = []
    for number in range(config.videos_per_case):
        late_s = 0.0 if number == 0 else round(random.uniform(0.5, 0.1 * config.case_seconds), 3)
        num_frames = int((config.case_seconds - late_s) * rate)
        name = f"cam{number + 1}"
        cameras.append(
            Camera(
                name=name,
                video_path=f"{case_id}/{case_id}_{name}.mp4",
                start_us=round(late_s * US_PER_SECOND),
                num_frames=num_frames,
                duration_us=num_frames * US_PER_SECOND // rate,
                view=drawn_view(family, [config.seed, index, number]),
            )
        )
    before_arrival_s = random.uniform(20, 90)
    return SimulatedCase(
        case_id=case_id,
        config=config,
        scenario=scenario,
        family=family,
        appearance=appearance,
        cameras=tuple(cameras),
        birth_us=round((scenario.arrival_s - before_arrival_s) * US_PER_SECOND),
        site=f"site-{1 + index % 3}",
    )


def case_rows(case: SimulatedCase) -> list[Case]:
    """The sidecar rows of a case, one per video."""
    return [
        Case(
            case_id=case.case_id,
            video_path=camera.video_path,
            camera=camera.name,
            video_start_us=camera.start_us,
            site=case.site,
            instants={
                "birth": case.birth_us,
                "table_arrival": round(case.scenario.arrival_s * US_PER_SECOND),
            },
        )
        for camera in case.cameras
    ]


def camera_spans(case: SimulatedCase, camera: Camera) -> list[tuple[str, int, int]]:
    """(activity, start_us, end_us) in the camera's presentation time, clipped to its video, sorted by start."""
    spans = []
    for activity, seconds in activity_spans(case.scenario).items():
        for start_s, end_s in seconds:
            start_us = max(round(start_s * US_PER_SECOND) - camera.start_us, 0)
            end_us = min(round(end_s * US_PER_SECOND) - camera.start_us, camera.duration_us)
            if end_us > start_us:
                spans.append((activity, start_us, end_us))
    return sorted(spans, key=lambda span: (span[1], span[0]))
