"""Makes the base model again: draw everyday scenes, train, measure, write the card.

    python -m nrray.workshop.train_base --out DIR

Seeded throughout: on a CPU, the same machine and thread count give the same weights. `--out` holds the model when it ends;
`DIR.work` beside it keeps the tower's package and the frames, so that a second run starts with the training. Trains
on a CUDA device where there is one, which repeats a figure but not its last digit.
"""

import argparse
import shutil
import time
from dataclasses import replace
from pathlib import Path

import torch

from nrray.models.head import Head
from nrray.models.inputs import CheckpointInputs
from nrray.models.metadata import Pooling
from nrray.sampling import Sampling
from nrray.workshop.base_card import BaseCardFacts, write_base_card
from nrray.workshop.base_measures import base_figures
from nrray.workshop.dialogue import Dialogues
from nrray.workshop.everyday_data import (
    WINDOWS_PER_SCENE,
    EverydayLessons,
    EverydayScenes,
    spoken_sentences,
    stored_scenes,
    with_fact_targets,
)
from nrray.workshop.recipe import RecipeConfig, train_vlm
from nrray.workshop.run_facts import edge_mean, machine_name, print_loss, read_or_write_seconds
from nrray.workshop.tower import TOWER_SOURCE, tower_file
from nrray.workshop.vlm import CAPTION_PROMPT, TEXT_WIDTH, TrainableVlm, fresh_vlm, save_vlm
from nrray.workshop.window_looks import save_window_looks
from nrray.workshop.window_store import case_subset

MODEL_NAME = "nrray-embedded-base"


def main() -> None:
    arguments = parsed_arguments()
    started = time.perf_counter()
    torch.set_num_threads(arguments.threads)
    work = arguments.out.with_name(arguments.out.name + ".work")
    work.mkdir(parents=True, exist_ok=True)
    sampling = Sampling.model_validate({})
    scenes = EverydayScenes(num_train=arguments.scenes, num_test=arguments.test_scenes, seed=arguments.seed)
    recipe = RecipeConfig(seed=arguments.seed, num_steps=arguments.steps, batch_windows=arguments.batch_windows)
    windows = stored_scenes(work / "frames", scenes, sampling=sampling, num_workers=arguments.threads)
    drawing_seconds = read_or_write_seconds(work / "frames" / "seconds.json", time.perf_counter() - started)
    print(f"{len(windows.captions)} windows after {drawing_seconds:.0f} s", flush=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    vlm = fresh_vlm(
        tower_file=tower_file(work), sentences=spoken_sentences(), sampling=sampling, seed=arguments.seed
    ).to(device)
    dialogues = Dialogues(vlm, sampling, EverydayLessons(), num_frames=sampling.frames_per_window)
    train = with_fact_targets(case_subset(windows, scenes.train_cases))
    test = case_subset(windows, scenes.test_cases, every=WINDOWS_PER_SCENE)
    guide = with_guide(vlm, num_facts=train.targets.shape[1], seed=arguments.seed)
    record = train_vlm(guide, train, recipe, dialogues=dialogues, report=print_loss(recipe.num_steps))

    inputs = CheckpointInputs(sampling=sampling, prompt=CAPTION_PROMPT, frame_stacking=vlm.frame_stacking)
    shutil.rmtree(arguments.out, ignore_errors=True)
    save_vlm(vlm, arguments.out, inputs=inputs, dtype=torch.float16)
    vlm.model.float()  # the weights as they are stored, so that the figures are those of the shipped model
    save_window_looks(vlm, arguments.out, train=train, held_out=test)
    facts = BaseCardFacts(
        name=MODEL_NAME,
        command=command_line(arguments),
        tower_source=TOWER_SOURCE,
        scenes=scenes,
        windows_seen=record.windows_seen,
        first_loss=edge_mean(record.losses, first=True),
        last_loss=edge_mean(record.losses, first=False),
        drawing_seconds=drawing_seconds,
        training_seconds=record.seconds,
        machine=machine_name(device, arguments.threads),
        parameter_count=vlm.model.num_parameters(),
        trained_parameter_count=sum(p.numel() for p in vlm.model.parameters() if p.requires_grad),
        folder_bytes=sum(file.stat().st_size for file in arguments.out.iterdir()),
        figures=base_figures(vlm, test, sampling=sampling, seed=arguments.seed),
    )
    card = write_base_card(arguments.out, inputs=inputs, recipe=recipe, facts=facts)
    print(card.read_text(encoding="utf-8"))
    print(f"{arguments.out}: the model. Copy it to nrray/models/embedded_base to ship it.")


def with_guide(vlm: TrainableVlm, *, num_facts: int, seed: int) -> TrainableVlm:
    """The model with a head that tells single facts from the frames, for the time of the training alone: it tells the tower
    sooner than words what there is to see."""
    torch.manual_seed(seed)
    head = Head(hidden_size=TEXT_WIDTH, num_activities=num_facts, pooling=Pooling.MEAN_FRAMES).to(vlm.device)
    return replace(vlm, head=head)


def parsed_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder that becomes the model")
    parser.add_argument("--scenes", type=int, default=4000, help="drawn scenes to train on")
    parser.add_argument("--test-scenes", type=int, default=256)
    parser.add_argument("--steps", type=int, default=1000, help="optimizer steps")
    parser.add_argument("--batch-windows", type=int, default=24)
    parser.add_argument("--seed", type=int, default=21)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def command_line(arguments: argparse.Namespace) -> str:
    """The command that makes the model again, without the folder that it was left in."""
    options = [f"--{name.replace('_', '-')} {value}" for name, value in vars(arguments).items() if name != "out"]
    return " ".join(["python -m nrray.workshop.train_base --out DIR", *options])


if __name__ == "__main__":
    main()
