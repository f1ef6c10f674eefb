"""How many times real time one core draws and encodes simulated video, case by case, at the simulation's own size and rate.

taskset -c 0 python tests/benchmarks/render_rate.py
"""

import tempfile
import time
from pathlib import Path

import cv2

from nrray.simulate import SimulateConfig, render_part, simulated_case

NUM_CASES, SECONDS, FIRST_SECOND = 10, 60, 100


def main() -> None:
    cv2.setNumThreads(1)
    config = SimulateConfig(num_cases=NUM_CASES, case_seconds=596.7, videos_per_case=1, seed=1326)
    rate = config.frames_per_second
    total = 0.0
    for index in range(NUM_CASES):
        case = simulated_case(config, index)
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            file = Path(folder) / "part.mp4"
            render_part(case, 0, file, first_frame=FIRST_SECOND * rate, num_frames=SECONDS * rate)
            seconds = time.perf_counter() - started
        total += seconds
        print(f"case {index}: {SECONDS / seconds:.1f} times real time", flush=True)
    print(
        f"{config.width_px}x{config.height_px} px, {rate} frames/s: {NUM_CASES * SECONDS / total:.1f} times real time"
    )


if __name__ == "__main__":
    main()
