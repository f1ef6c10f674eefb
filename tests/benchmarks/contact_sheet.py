"""Draws docs/clips.jpg: random windows of every activity and every look-alike, from random families of appearance.

python tests/benchmarks/contact_sheet.py docs/clips.jpg
python tests/benchmarks/contact_sheet.py docs/clips-solid.jpg solid 30
"""

import sys
from contextlib import closing

import cv2
import numpy as np
from numpy.typing import NDArray

from nrray.simulate import FrameRenderer, SimulateConfig, simulated_case
from nrray.simulate.appearance import FAMILIES
from nrray.simulate.renderers import Renderer
from nrray.simulate.scenario import Airway, Body

SHEET_SEED = 3
WINDOWS, FRAMES, STEP_SECONDS = 3, 4, 0.5
TILE = (120, 90)  # px
GAP, NAME = 8, 120  # px
KINDS = (
    (Airway.VENTILATION, Airway.MASK_STILL, Airway.MASK_BESIDE, Airway.BAG_TESTED),
    (Airway.SUCTION, Airway.TUBE_STILL, Airway.TUBE_WAVED, Airway.TUBE_BESIDE),
    (Body.STIMULATION, Body.HAND_RESTING, Body.LIMB_RUBBED, Body.HAND_HOVERING),
)
ACTIVITIES = {Airway.VENTILATION, Airway.SUCTION, Body.STIMULATION}


def main(path: str, renderer: str = "flat", quality: str = "95") -> None:
    config = SimulateConfig(
        num_cases=1, seed=SHEET_SEED, videos_per_case=1, appearance=FAMILIES, renderer=Renderer(renderer)
    )
    random = np.random.default_rng(SHEET_SEED)
    rows = []
    for group in KINDS:
        for kind in group:
            rows.append(row_of(kind, config, random))
        rows.append(np.full((GAP, rows[-1].shape[1], 3), 255, np.uint8))
    cv2.imwrite(
        path, cv2.cvtColor(np.concatenate(rows[:-1]), cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, int(quality)]
    )


def row_of(kind: Airway | Body, config: SimulateConfig, random: np.random.Generator) -> NDArray[np.uint8]:
    """Name, then windows of cases that hold such an episode, at a random moment inside it."""
    name = np.full((TILE[1], NAME, 3), 255, np.uint8)
    colour = (0, 110, 60) if kind in ACTIVITIES else (90, 90, 90)
    cv2.putText(name, kind.value, (4, TILE[1] // 2 + 4), cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA)
    parts = [name]
    seconds = (FRAMES - 1) * STEP_SECONDS
    while len(parts) < 2 * WINDOWS + 1:
        case = simulated_case(config, int(random.integers(100_000)))
        episodes = [
            episode
            for episode in (*case.scenario.airway, *case.scenario.body)
            if episode.kind is kind and episode.end_s - episode.start_s > seconds
        ]
        if not episodes:
            continue
        episode = episodes[int(random.integers(len(episodes)))]
        start = random.uniform(episode.start_s, episode.end_s - seconds)
        with closing(FrameRenderer(case, 0)) as renderer:
            frames = [renderer.frame(start + i * STEP_SECONDS) for i in range(FRAMES)]
        parts.append(np.concatenate([cv2.resize(frame, TILE, interpolation=cv2.INTER_AREA) for frame in frames], 1))
        parts.append(np.full((TILE[1], GAP, 3), 255, np.uint8))
    return np.concatenate(parts, axis=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
