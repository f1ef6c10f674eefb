"""Makes the embedded model again: simulate, encode to H.264, decode, train, measure, write the card.

    python -m nrray.workshop.train_embedded --out DIR

Seeded throughout: on a CPU, the same machine and thread count give the same weights. `--out` holds the model when it ends;
`DIR.work` beside it keeps the tower's package, the frames and what each cycle of the training left, so that a second run starts
behind them. Trains on a CUDA device where there is one, which repeats a figure but not its last digit.
"""

import argparse
import functools
import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nrray.labels import LabelSet, read_label_set
from nrray.models import CheckpointChoice, CheckpointMetadata, Device, Execution, measure_labeler, resolve_checkpoint
from nrray.models.frame_stacking import FrameStacking
from nrray.models.metadata import trained_labels, write_metadata
from nrray.sampling import Sampling
from nrray.train.thresholds import best_thresholds
from nrray.workshop.captions import all_sentences
from nrray.workshop.card import CardFacts, write_card
from nrray.workshop.cycles import train_in_cycles
from nrray.workshop.dialogue import ActivityLessons, Dialogues
from nrray.workshop.embedded import PROMPT, HeadedVlm, embedded_vlm, save_embedded
from nrray.workshop.embedded_data import (
    TRAINED_RENDERERS,
    UNSEEN_RENDERER,
    Part,
    data_paragraph,
    numbers_of,
    source_cases,
    stored_windows,
)
from nrray.workshop.embedded_measures import (
    Parts,
    answers_f1,
    caption_agreement,
    f1_of,
    head_seeds_f1,
    measured_windows,
    single_frame_f1,
)
from nrray.workshop.measures import captions_of, changed_windows
from nrray.workshop.recipe import RecipeConfig, window_scores
from nrray.workshop.run_facts import machine_name, read_or_write_seconds
from nrray.workshop.tower import TOWER_SOURCE, tower_file
from nrray.workshop.vlm import FRAME_STACKING, window_prompt_ids
from nrray.workshop.window_looks import save_window_looks
from nrray.workshop.window_store import case_subset

MODEL_NAME = "nrray-embedded"
CASES, STEPS, CYCLES, SEED = 1000, 1200, 3, 20
HEAD_SEEDS = (0, 1, 2)
NEEDS_EVERY, CAPTIONS_EVERY = 3, 2  # of the held-out windows, and of those: for measures that are repeated many times


def main() -> None:
    arguments = parsed_arguments()
    started = time.perf_counter()
    torch.set_num_threads(arguments.threads)
    work = arguments.out.with_name(arguments.out.name + ".work")
    work.mkdir(parents=True, exist_ok=True)
    label_set, sampling = read_label_set(), Sampling.model_validate({})
    sources = source_cases(num_cases=arguments.cases, case_seconds=arguments.case_seconds, seed=arguments.seed)
    recipe = RecipeConfig(seed=arguments.seed, num_steps=arguments.steps, batch_windows=arguments.batch_windows)
    windows = stored_windows(work / "frames", sources=sources, sampling=sampling, label_set=label_set)
    data_seconds = read_or_write_seconds(work / "frames" / "seconds.json", time.perf_counter() - started)
    print(f"{len(windows.targets)} windows after {data_seconds:.0f} s", flush=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cuda":
        windows = windows.to(device)
    untrained_vlm = functools.partial(
        untrained,
        work,
        label_set=label_set,
        sampling=sampling,
        seed=arguments.seed,
        frame_stacking=arguments.pictures,
    )
    vlm = untrained_vlm().to(device)

    every = sampling.frames_per_stride  # measured at the stride of a real run
    numbers = {part: numbers_of(sources, part) for part in Part}
    drawn_as_first = numbers_of(sources, Part.TEST, renderer=TRAINED_RENDERERS[0])
    parts = Parts(
        train=case_subset(windows, numbers[Part.TRAIN]),
        validation=case_subset(windows, numbers[Part.VALIDATION], every=every),
        test=case_subset(windows, drawn_as_first, every=every),
    )
    elsewhere = {
        renderer: case_subset(windows, numbers_of(sources, part, renderer=renderer), every=every)
        for renderer, part in (*((r, Part.TEST) for r in TRAINED_RENDERERS[1:]), (UNSEEN_RENDERER, Part.UNSEEN))
    }
    prompt_ids = window_prompt_ids(vlm, sampling, num_frames=sampling.frames_per_window, question=PROMPT)
    dialogues = Dialogues(vlm, sampling, ActivityLessons(label_set), num_frames=sampling.frames_per_window)
    record = train_in_cycles(vlm, parts.train, recipe, num_cycles=arguments.cycles, dialogues=dialogues, work=work)

    metadata = CheckpointMetadata(
        name=MODEL_NAME,
        labels=trained_labels(label_set),
        sampling=sampling,
        prompt=PROMPT,
        frame_stacking=vlm.frame_stacking,
        pooling=vlm.head.pooling,
        thresholds=dict.fromkeys(label_set.names, 0.5),
    )
    shutil.rmtree(arguments.out, ignore_errors=True)
    save_embedded(vlm, arguments.out, metadata=metadata, dtype=torch.float16)
    vlm.model.float()  # the weights as they are stored, so that thresholds and figures are those of the shipped model

    save_window_looks(vlm, arguments.out, train=parts.train, held_out=parts.validation)
    validation_scores = window_scores(vlm, parts.validation, prompt_ids=prompt_ids)
    thresholds = best_thresholds(validation_scores, parts.validation.targets)
    named = {name: round(float(value), 4) for name, value in zip(label_set.names, thresholds, strict=True)}
    metadata = metadata.model_copy(update={"thresholds": named})
    write_metadata(metadata, arguments.out)
    test_scores = window_scores(vlm, parts.test, prompt_ids=prompt_ids)
    test = measured_windows(parts.test, test_scores, thresholds=thresholds, label_set=label_set)
    print(json.dumps(f1_of(test)), flush=True)
    on_others = {
        renderer: measured_windows(
            part, window_scores(vlm, part, prompt_ids=prompt_ids), thresholds=thresholds, label_set=label_set
        )
        for renderer, part in elsewhere.items()
    }
    print(json.dumps({renderer.value: f1_of(found) for renderer, found in on_others.items()}), flush=True)

    needs = needs_of(vlm, parts, thresholds=thresholds, sampling=sampling, label_set=label_set)
    print(json.dumps(needs, indent=1), flush=True)
    single = untrained_vlm().to(device)
    needs["one frame, trained so"] = single_frame_f1(
        single, parts, recipe, sampling=sampling, label_set=label_set, work=work / "one-frame"
    )
    (arguments.out.parent / f"{arguments.out.name}.figures.json").write_text(json.dumps(needs, indent=1) + "\n")
    measured = measure_labeler(
        resolve_checkpoint(CheckpointChoice(path=str(arguments.out))),
        label_set=label_set,
        execution=Execution(device=Device.CPU, num_threads=arguments.threads),
    )
    facts = CardFacts(
        command=command_line(arguments),
        tower_source=TOWER_SOURCE,
        data=data_paragraph(sources, sampling),
        train_cases=len(numbers[Part.TRAIN]) - 1,  # the blank ones are no case
        validation_cases=len(numbers[Part.VALIDATION]),
        test_cases=len(drawn_as_first),
        train_video_seconds=len(np.unique(parts.train.window_frames)) / sampling.frames_per_second,
        train_windows=len(parts.train.targets),
        windows_seen=record.windows_seen,
        num_cycles=arguments.cycles,
        training_seconds=record.seconds,
        total_seconds=data_seconds + record.seconds,
        machine=machine_name(device, arguments.threads),
        processor=machine_name(torch.device("cpu"), arguments.threads),
        parameter_count=measured.parameter_count,
        trained_parameter_count=sum(p.numel() for p in vlm.model.parameters() if p.requires_grad)
        + sum(p.numel() for p in vlm.head.parameters()),
        folder_bytes=sum(file.stat().st_size for file in arguments.out.iterdir()),
        flops_per_window=measured.flops_per_window,
        flops_per_shared_window=measured.flops_per_shared_window,
        windows_per_second=measured.windows_per_second,
        validation=measured_windows(parts.validation, validation_scores, thresholds=thresholds, label_set=label_set),
        test=test,
        elsewhere={renderer.value: found for renderer, found in on_others.items()},
        unseen=UNSEEN_RENDERER.value,
        needs=needs,
    )
    card = write_card(arguments.out, metadata=metadata, recipe=recipe, label_set=label_set, facts=facts)
    print(card.read_text(encoding="utf-8"))
    print(f"{arguments.out}: the model. Copy it to nrray/models/embedded to ship it.")


def untrained(
    work: Path, *, label_set: LabelSet, sampling: Sampling, seed: int, frame_stacking: FrameStacking
) -> HeadedVlm:
    return embedded_vlm(
        tower_file=tower_file(work),
        label_set=label_set,
        captions=all_sentences(),
        sampling=sampling,
        seed=seed,
        frame_stacking=frame_stacking,
    )


def needs_of(
    vlm: HeadedVlm, parts: Parts, *, thresholds: Any, sampling: Sampling, label_set: LabelSet
) -> dict[str, Any]:
    """F1 and captions on changed frames, F1 of answers in words, and of heads from other seeds."""
    prompt_ids = window_prompt_ids(vlm, sampling, num_frames=sampling.frames_per_window, question=PROMPT)
    activities, captions = {}, {}
    test = case_subset(parts.test, np.unique(parts.test.cases).tolist(), every=NEEDS_EVERY)
    for name, changed in changed_windows(test).items():
        scores = window_scores(vlm, changed, prompt_ids=prompt_ids)
        activities[name] = f1_of(measured_windows(changed, scores, thresholds=thresholds, label_set=label_set))
        some = case_subset(changed, np.unique(changed.cases).tolist(), every=CAPTIONS_EVERY)
        captions[name] = caption_agreement(captions_of(vlm, some, sampling=sampling), some.captions.tolist())
    train_states = case_subset(parts.train, np.unique(parts.train.cases).tolist(), every=8)
    return {
        "activities": activities,
        "captions": captions,
        "answers in words": answers_f1(vlm, test, sampling=sampling, label_set=label_set),
        "heads of other seeds": head_seeds_f1(
            vlm,
            Parts(train=train_states, validation=parts.validation, test=parts.test),
            seeds=HEAD_SEEDS,
            sampling=sampling,
            label_set=label_set,
        ),
    }


def parsed_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder that becomes the model")
    parser.add_argument(
        "--cases",
        type=int,
        default=CASES,
        help="simulated cases of each renderer, of ten families in turn; seven of ten train",
    )
    parser.add_argument("--case-seconds", type=float, default=60.0)
    parser.add_argument("--steps", type=int, default=STEPS, help="optimizer steps of a cycle")
    parser.add_argument("--cycles", type=int, default=CYCLES, help="the recipe again, from the weights before it")
    parser.add_argument("--batch-windows", type=int, default=32)
    parser.add_argument("--pictures", type=FrameStacking, choices=list(FrameStacking), default=FRAME_STACKING)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def command_line(arguments: argparse.Namespace) -> str:
    """The command that makes the model again, without the folder that it was left in."""
    given = {name: getattr(value, "value", value) for name, value in vars(arguments).items() if name != "out"}
    options = [f"--{name.replace('_', '-')} {value}" for name, value in given.items()]
    return " ".join(["python -m nrray.workshop.train_embedded --out DIR", *options])


if __name__ == "__main__":
    main()
