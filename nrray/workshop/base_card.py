"""Writes the base model's `model_card.md`. Every figure is an argument, measured by the run that made the model."""

from dataclasses import dataclass
from pathlib import Path

from nrray.models.inputs import CheckpointInputs
from nrray.workshop.base_measures import AS_DRAWN, BaseFigures
from nrray.workshop.everyday import Kind, Stick
from nrray.workshop.everyday_captions import BLANK_CAPTION, caption_of, facts_of
from nrray.workshop.everyday_data import WINDOWS_PER_SCENE, EverydayScenes, example_scene
from nrray.workshop.recipe import RecipeConfig


@dataclass(frozen=True, kw_only=True)
class BaseCardFacts:
    """All that the card says and that is not in the inputs or the recipe."""

    name: str
    command: str
    tower_source: str
    scenes: EverydayScenes
    windows_seen: int
    first_loss: float
    last_loss: float
    drawing_seconds: float
    training_seconds: float
    machine: str
    parameter_count: int
    trained_parameter_count: int
    folder_bytes: int
    figures: dict[str, BaseFigures]  # by what was done to the frames


def write_base_card(folder: Path, *, inputs: CheckpointInputs, recipe: RecipeConfig, facts: BaseCardFacts) -> Path:
    """Write the card into `folder`; returns the file."""
    sections = [_head(inputs, facts), _uses(), _data(facts), _recipe(recipe, facts), _results(facts), _licence(facts)]
    file = folder / "model_card.md"
    file.write_text("\n".join(sections), encoding="utf-8")
    return file


def _head(inputs: CheckpointInputs, facts: BaseCardFacts) -> str:
    sampling = inputs.sampling
    return f"""---
license: apache-2.0
library_name: transformers
pipeline_tag: image-text-to-text
tags: [image-text-to-text, simulated-data, nrray]
---
# {facts.name}

A small vision-language model that describes a drawn world of hands and everyday things. It is what a published model
is to a hospital's task: it can see and name what hands do, and has never been told of a newborn's care. It has no head
and knows no activity of any label set; `nrray finetune` starts from it, and questions can be put to it in words.
A standard `FastVlmForConditionalGeneration` of transformers. Written by `{facts.command}`; no figure below was typed
by hand.

| | |
|---|---|
| input | {sampling.frames_per_window} frames of {sampling.frame_width_px}x{sampling.frame_height_px} px at \
{sampling.frames_per_second:g} Hz ({sampling.window_seconds:g} s), luma of three at a time as the colours of one picture; \
`config.json` says so under `nrray_inputs` |
| prompt | "{inputs.prompt}" for a caption, or a question and "Answer with one word, yes or no." |
| parameters | {facts.parameter_count:,} ({facts.trained_parameter_count:,} trained here) |
| size on disk | {facts.folder_bytes / 1e6:.1f} MB |
"""


def _uses() -> str:
    things, sticks = (", ".join(item.value for item in kinds) for kinds in (Kind, Stick))
    return f"""## What it can say, and what it cannot
One sentence for the things, one for each hand, one for people who pass; such as
"{caption_of(facts_of(example_scene()))}"

* Things: {things}. Held in the hand: {sticks}.
* Hands squeeze, wave, rub, move a stick in or beside a thing, move beside it; and the same without motion: hold, rest
  on, hold a stick in or beside, are still beside. No single frame tells a motion from its still look-alike.
* Yes or no about each of these, about what is there and what is touched. Without anything to see: "{BLANK_CAPTION}"

It knows no other word than those of this grammar: about anything else, an answer in words is a guess. Motion faster
than the frame rate allows, real video, more than two hands, and things that it was never shown are beyond it. It is no
medical device.
"""


def _data(facts: BaseCardFacts) -> str:
    scenes = facts.scenes
    return f"""## Data
{scenes.num_train:,} drawn scenes of {WINDOWS_PER_SCENE} overlapping windows to train, {scenes.num_test} others, one window \
each, to measure (seed {scenes.seed}): one to three things, no to two hands, somebody passing at times. Shapes, textures,
backgrounds, light, build and colour of hands, camera, contrast, noise and compression are drawn at random for each
scene; a part is gray, inverted or has the palette of a thermal camera. Held-out scenes are of the same distribution.
Truth is exact: it is what was drawn, even where an arm hides it.
"""


def _recipe(recipe: RecipeConfig, facts: BaseCardFacts) -> str:
    return f"""## Training
The first part of the tower (to stride 16) keeps its ImageNet weights; its last part, the projector and the language
model are trained together on captions (three in five questions) and on answers by yes or no, half of them yes. For the time of
the training a linear head tells single facts of the same captions from the frames; it is no part of the model.

* Cross-entropy of the answers, summed over a sentence.
* AdamW, peak learning rate {recipe.peak_learning_rate:g} (tower {recipe.tail_share * recipe.peak_learning_rate:g}), \
weight decay {recipe.weight_decay:g}; linear rise over {recipe.warmup_fraction:.0%} of the steps, then half a cosine.
* {recipe.num_steps} steps of {recipe.batch_windows} windows = {facts.windows_seen:,} windows seen; seed {recipe.seed}.
* Every window is mirrored, turned, zoomed and shifted and gets other colours, contrast, light, sharpness and noise, as a
  whole.
* Loss {facts.first_loss:.3f} to {facts.last_loss:.3f} (means of the first and last 5 % of steps).
* {facts.drawing_seconds / 60:.1f} minutes of drawing and {facts.training_seconds / 60:.1f} of training on {facts.machine}.
"""


def _results(facts: BaseCardFacts) -> str:
    conditions = [*facts.figures]
    drawn = facts.figures[AS_DRAWN]
    columns = " | ".join(f"frames {'as drawn' if name == AS_DRAWN else name}" for name in conditions)
    lines = [
        "## Measured on held-out scenes",
        f"{facts.scenes.num_test} windows. Captions are greedy and taken at their word; by chance is the agreement of the",
        "same captions dealt out at random, kappa (Cohen's) is of frames as drawn.",
        "",
        f"| captions: right about | kappa | by chance | {columns} |",
        "|---" * (len(conditions) + 3) + "|",
        "| everything, word for word | - | - | "
        + " | ".join(f"{facts.figures[name].exact:.2f}" for name in conditions)
        + " |",
    ]
    for fact, agreement in drawn.facts.items():
        right = " | ".join(f"{facts.figures[name].facts[fact].right:.2f}" for name in conditions)
        lines.append(f"| {fact} | {agreement.kappa:.2f} | {agreement.chance:.2f} | {right} |")
    lines += [
        "",
        "Of each hand's deed, the question whose answer is yes and that about its look-alike, whose answer is no: 0.5 is "
        "chance.",
        "",
        f"| yes or no: right about | questions | {columns} |",
        "|---" * (len(conditions) + 2) + "|",
    ]
    for about, count in drawn.num_answers.items():
        right = " | ".join(f"{facts.figures[name].answers[about]:.2f}" for name in conditions)
        lines.append(f"| {about} | {count} | {right} |")
    return "\n".join(lines) + "\n"


def _licence(facts: BaseCardFacts) -> str:
    return f"""## Licence
Apache-2.0, as the rest of this package. Tower weights: {facts.tower_source}
"""
