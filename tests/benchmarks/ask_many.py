"""Four questions about every window, asked together and each anew: how much faster, and whether the answers are the same.

    python -m tests.benchmarks.ask_many [--windows 12] [--repeats 3] [--checkpoint FOLDER]

Two models: the package's, and one of Qwen3-VL's class with random weights, wide enough that reading a prompt takes longer than
calling it; or the one that is given. Windows of 3 s start every second, so that neighbours share frames, or every 3 s, so that
none does. Asked anew, the frames of every window go through the whole class with every question. On a CPU seconds are those of
the process, which other work on the machine hardly changes, on a GPU those of a clock.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from nrray.labels import LabelSet, read_label_set
from nrray.models import CheckpointChoice, Execution, YesNoStrategy, resolve_checkpoint
from nrray.models.batches import micro_batched
from nrray.models.checkpoint import load_checkpoint
from nrray.models.engines.asking import Answered, AskedAnew, Asking, asking
from nrray.models.engines.engine import GREEDY, Question
from nrray.models.families.family import WindowRunner
from nrray.models.frame_stacking import FrameStacking, stacked
from nrray.models.measure import synthetic_frames
from nrray.sampling import Sampling
from nrray.types import Frames
from tests.checkpoints import qwen3_vl, rope_parameters

NUM_QUESTIONS = 4
MICRO_BATCH_WINDOWS = 4
SIDE_PX = 224
TEXT = {
    "vocab_size": 1024,
    "hidden_size": 512,
    "intermediate_size": 1536,
    "num_hidden_layers": 8,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 64,
    "rope_parameters": rope_parameters(mrope_section=[12, 10, 10], mrope_interleaved=True),
}
VISION = {
    "depth": 6,
    "hidden_size": 256,
    "intermediate_size": 1024,
    "num_heads": 4,
    "patch_size": 16,
    "out_hidden_size": 512,
    "deepstack_visual_indexes": [1, 3],
}


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model that is measured, with questions for it, on windows every `sampling.stride_seconds`."""

    name: str
    runner: WindowRunner
    sampling: Sampling
    stacking: FrameStacking
    questions: Sequence[Question]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=3, help="the fastest of so many counts")
    parser.add_argument("--checkpoint", help="a folder, in the place of the two models")
    arguments = parser.parse_args()
    print(
        "| model | windows | share frames | max_tokens | anew, s | together, s | ratio | equal texts | largest difference |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for model in models(Path(folder), arguments.checkpoint):
            for stride in (1.0, 3.0):
                sampling = replace_stride(model.sampling, stride)
                unit = stacked(synthetic_frames(sampling, num_windows=arguments.windows), model.stacking)
                for max_tokens in (0, 1, 8):
                    report(model, unit, max_tokens=max_tokens, repeats=arguments.repeats)


def models(folder: Path, given: str | None) -> Iterator[Model]:
    label_set = read_label_set()
    if given is not None:
        yield loaded(Path(given).name, given, label_set)
        return
    yield loaded("embedded", "embedded", label_set)
    path = qwen3_vl(folder / "qwen3_vl", label_set, text=TEXT, vision=VISION, side_px=SIDE_PX)
    yield loaded(f"Qwen3-VL of width {TEXT['hidden_size']}, random", str(path), label_set)


def loaded(name: str, path: str, label_set: LabelSet) -> Model:
    resolved = resolve_checkpoint(CheckpointChoice(path=path))
    checkpoint = load_checkpoint(resolved, execution=Execution(micro_batch_windows=MICRO_BATCH_WINDOWS))
    other = Sampling(frames_per_second=4.0, window_seconds=3.0, frame_width_px=SIDE_PX, frame_height_px=SIDE_PX)
    return Model(
        name=name,
        runner=checkpoint.family.runner(checkpoint),
        sampling=other if resolved.inputs is None else resolved.inputs.sampling,
        stacking=FrameStacking.FRAMES if resolved.inputs is None else resolved.inputs.frame_stacking,
        questions=YesNoStrategy().asked(resolved, label_set)[:NUM_QUESTIONS],
    )


def replace_stride(sampling: Sampling, stride_seconds: float) -> Sampling:
    return Sampling.model_validate({**sampling.model_dump(), "stride_seconds": stride_seconds})


def report(model: Model, unit: Frames, *, max_tokens: int, repeats: int) -> None:
    questions = [replace(question, max_tokens=max_tokens) for question in model.questions]
    ways: dict[str, Asking] = {
        "anew": AskedAnew(model.runner),
        "together": asking(model.runner, micro_batch_windows=MICRO_BATCH_WINDOWS),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    found: dict[str, list[Answered]] = {}
    for _ in range(repeats + 1):  # the first warms up
        for name, way in ways.items():
            started = now()
            found[name] = answers(way, unit, questions)
            seconds[name].append(now() - started)
    anew, together = (min(seconds[name][1:]) for name in ways)
    texts = {
        name: [text for batch in batches for row in batch.texts for text in row] for name, batches in found.items()
    }
    probabilities = {
        name: np.concatenate([np.concatenate(batch.probabilities, axis=1) for batch in batches])
        for name, batches in found.items()
    }
    equal = sum(one == other for one, other in zip(texts["anew"], texts["together"], strict=True))
    cells = (
        model.name,
        str(len(unit.window_frames)),
        "yes" if len(np.unique(unit.window_frames)) < unit.window_frames.size else "no",
        str(max_tokens),
        f"{anew:.2f}",
        f"{together:.2f}",
        f"{anew / together:.1f}",
        f"{equal}/{len(texts['anew'])}",
        f"{np.nanmax(np.abs(probabilities['anew'] - probabilities['together'])):.0e}",
    )
    print(f"| {' | '.join(cells)} |", flush=True)


def answers(way: Asking, unit: Frames, questions: Sequence[Question]) -> list[Answered]:
    with torch.inference_mode():
        way.begin(unit, questions, GREEDY)
        return micro_batched(way.answered, num_rows=len(unit.window_frames), rows_per_batch=MICRO_BATCH_WINDOWS)


def now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


if __name__ == "__main__":
    main()
