"""Labelling with models of published sizes on this machine's GPU, by a head and in every way of asking.

    python -m tests.benchmarks.full_size --folder DIR [--models Qwen3-VL-2B LLaVA-NeXT-Video-7B] [--ways head yes_no] [--tiny]

Writes checkpoints with random weights into DIR (4 to 16 GB each), labels noise with them as `nrray relabel` would, and prints one
JSON line per model and way: windows/s, hours that the study's 13.26 hours of video would take at a window a second, tokens of
answers per window, memory, and the share of time that the GPU was busy. Random weights take as long as trained ones; their
answers in words run to the last token, as a model's that explains itself. A judge of Mistral-7B's size reads captions of the
simulation. Ray and decoding take no part.
"""

import argparse
import json
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from nrray.labels import LabelSet, read_label_set
from nrray.models import CheckpointChoice, Execution, ResolvedCheckpoint, YesNoStrategy, resolve_checkpoint
from nrray.models.judges import JudgeDtype, JudgeSection, load_judge
from nrray.models.measure import synthetic_frames
from nrray.models.metadata import HEAD_FILE, METADATA_FILE, CheckpointMetadata, Pooling, trained_labels, write_metadata
from nrray.models.strategies.head import HeadStrategy
from nrray.models.strategies.json import JsonStrategy
from nrray.models.strategies.judge import FocusedJudgeStrategy, JudgeStrategy
from nrray.models.strategies.list import ListStrategy
from nrray.models.strategies.multiple_choice import MultipleChoiceStrategy
from nrray.models.strategies.prompted import PromptedStrategy, asked_rounds
from nrray.models.strategies.vector import VectorStrategy
from nrray.sampling import Sampling
from tests.benchmarks.judges import written_captions
from tests.benchmarks.shapes import SHAPES, judge_of

WAYS: Mapping[str, PromptedStrategy] = {
    "yes_no, scored": YesNoStrategy(answer_tokens=0),
    "yes_no": YesNoStrategy(),
    "list": ListStrategy(),
    "multiple_choice": MultipleChoiceStrategy(),
    "json": JsonStrategy(),
    "vector": VectorStrategy(),
    "judge, captions": JudgeStrategy(),
    "focused_judge, captions": FocusedJudgeStrategy(),
}
JUDGE = "judge"
STUDY_WINDOWS = 13.26 * 3600  # at a stride of a second
LEAST_SECONDS = 3.0
MICRO_BATCH_WINDOWS = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--models", nargs="+", default=["Qwen3-VL-2B", "LLaVA-NeXT-Video-7B"], choices=list(SHAPES))
    parser.add_argument("--ways", nargs="+", default=["head", *WAYS, JUDGE])
    parser.add_argument("--windows", type=int, nargs="+", default=[64], help="windows per forward of the head")
    parser.add_argument("--tiny", action="store_true", help="a few layers, to try the script without a GPU")
    arguments = parser.parse_args()
    label_set = read_label_set()
    for name in arguments.models:
        shape = SHAPES[name]
        folder = shape.written(arguments.folder / name, label_set, is_tiny=arguments.tiny)
        sampling = shape.sampling(is_tiny=arguments.tiny)
        if "head" in arguments.ways:
            by_head(name, folder, label_set, sampling, micro_batches=arguments.windows)
        if shape.knows_words:
            in_words(name, folder, label_set, sampling, ways=[way for way in arguments.ways if way in WAYS])
    if JUDGE in arguments.ways:
        judged(judge_of(arguments.folder / "judge", label_set, is_tiny=arguments.tiny), label_set)


def by_head(name: str, folder: Path, label_set: LabelSet, sampling: Sampling, *, micro_batches: Sequence[int]) -> None:
    with random_head(folder, label_set, sampling):
        checkpoint = resolve_checkpoint(CheckpointChoice(path=str(folder)))
        for micro_batch_windows in micro_batches:
            report(model=name, way="head", **head_rate(checkpoint, label_set, sampling, micro_batch_windows))


def head_rate(
    checkpoint: ResolvedCheckpoint, label_set: LabelSet, sampling: Sampling, micro_batch_windows: int
) -> dict[str, Any]:
    started = time.perf_counter()
    execution = Execution(micro_batch_windows=micro_batch_windows)
    labeler = HeadStrategy().labeler(checkpoint, label_set=label_set, execution=execution)
    load_seconds = time.perf_counter() - started
    unit = synthetic_frames(sampling, num_windows=micro_batch_windows)
    info = labeler.info
    return {
        "parameters": info.parameter_count,
        "dtype": info.dtype,
        "frames": frames_of(sampling),
        "windows_per_forward": micro_batch_windows,
        "load_seconds": round(load_seconds, 1),
        "weights_gib": round(info.memory_bytes / 2**30, 2),
        "measured": rate(lambda: len(labeler.label(unit).states)),
    }


@contextmanager
def random_head(folder: Path, label_set: LabelSet, sampling: Sampling) -> Iterator[None]:
    """A checkpoint has a head of random weights meanwhile."""
    width = width_of(folder)
    save_file(
        {"out.weight": torch.randn(len(label_set.names), width), "out.bias": torch.zeros(len(label_set.names))},
        folder / HEAD_FILE,
    )
    metadata = CheckpointMetadata(
        name="random",
        labels=trained_labels(label_set),
        sampling=sampling,
        prompt="Which activities are going on?",
        pooling=Pooling.MEAN_FRAMES,
        thresholds=dict.fromkeys(label_set.names, 0.5),
    )
    write_metadata(metadata, folder)
    try:
        yield
    finally:
        (folder / HEAD_FILE).unlink()
        (folder / METADATA_FILE).unlink()


def in_words(name: str, folder: Path, label_set: LabelSet, sampling: Sampling, *, ways: Sequence[str]) -> None:
    if not ways:
        return
    checkpoint = resolve_checkpoint(CheckpointChoice(path=str(folder)))
    assert isinstance(checkpoint, ResolvedCheckpoint)
    engine = WAYS[ways[0]].engine.loaded(checkpoint, execution=Execution(micro_batch_windows=MICRO_BATCH_WINDOWS))
    unit = synthetic_frames(sampling, num_windows=MICRO_BATCH_WINDOWS)
    for way in ways:
        strategy = WAYS[way]
        questions = strategy.asked(checkpoint, label_set)
        tokens: list[float] = []

        def once(
            strategy: PromptedStrategy = strategy, questions: Any = questions, tokens: list[float] = tokens
        ) -> int:
            replies = asked_rounds(engine, unit, questions, strategy)
            tokens.append(float(sum(each.num_tokens.sum() for each in replies)) / len(replies[0].texts))
            return len(replies[0].texts)

        report(
            model=name,
            way=way,
            measured=rate(once),
            dtype=engine.info.dtype,
            frames=frames_of(sampling),
            questions_a_window=len(questions),
            tokens_a_window=round(statistics.mean(tokens), 1),
            windows_per_forward=MICRO_BATCH_WINDOWS,
        )


def judged(folder: Path, label_set: LabelSet) -> None:
    section = JudgeSection(model=str(folder), dtype=JudgeDtype.BFLOAT16 if torch.cuda.is_available() else "float32")
    resolved = section.resolved()
    assert resolved is not None
    judge = load_judge(section, resolved, execution=Execution())
    questions = JudgeStrategy(judge=section).judge_questions(label_set)
    written = written_captions(label_set, num_cases=4, num_captions=64).captions
    captions = [f"{caption} It is window {number}." for number, caption in enumerate(written)]

    def once() -> int:
        for question in questions:
            judge.judged(question, captions)
        return len(captions)

    measured = rate(once)
    report(
        model="Mistral-7B", way=f"judge, {len(questions)} questions a caption", measured=measured, dtype=judge.device
    )
    measured = rate(lambda: one_by_one(judge, questions, captions[:8]))
    report(model="Mistral-7B", way="judge, a plain loop", measured=measured, dtype=judge.device)


def one_by_one(judge: Any, questions: Sequence[Any], captions: Sequence[str]) -> int:
    for caption in captions:
        for question in questions:
            judge.judged(question, [caption])
    return len(captions)


def width_of(folder: Path) -> int:
    """Of the hidden states that a head reads."""
    config = json.loads((folder / "config.json").read_text())
    return int(config.get("text_config", config)["hidden_size"])


def frames_of(sampling: Sampling) -> str:
    return f"{sampling.frames_per_window} of {sampling.frame_width_px}x{sampling.frame_height_px} px"


def rate(once: Callable[[], int]) -> dict[str, Any]:
    """Windows per second of what labels some windows and says how many, memory, and the GPU's busy share. It is called once
    before the clock starts."""
    once()
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    busy = gpu_sampler() if on_gpu else None
    started, windows = time.perf_counter(), 0
    while windows == 0 or time.perf_counter() - started < LEAST_SECONDS:
        windows += once()
    seconds = time.perf_counter() - started
    found: dict[str, Any] = {
        "windows_per_second": round(windows / seconds, 2),
        "study_hours": round(STUDY_WINDOWS * seconds / windows / 3600, 2),
    }
    if busy is not None:
        busy.terminate()
        shares = [float(line) for line in busy.communicate()[0].split()]
        found["gpu_busy_share"] = round(statistics.mean(shares) / 100, 2) if shares else None
        found["peak_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
    return found


def report(*, measured: Mapping[str, Any], **facts: Any) -> None:
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    print(json.dumps({"device": device, **facts, **measured}), flush=True)


def gpu_sampler() -> subprocess.Popen[str]:
    """Prints the driver's utilization in percent every 200 ms until it is ended."""
    query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", "200"]
    return subprocess.Popen(query, stdout=subprocess.PIPE, text=True)


if __name__ == "__main__":
    main()
