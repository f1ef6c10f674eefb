"""Windows per second of the training loop and of Hugging Face's Trainer, in one process, in turn: the same checkpoint, adapter,
head, objective, batch and windows, made ready by the same code. Once with the tower as `nrray finetune` lays it out for a CPU,
once, "plain", as transformers loads it, which is what somebody without `nrray` has.

    python tests/benchmarks/finetune_rate.py [--steps 12] [--rounds 3] [--threads 2] [--device cpu]

Prints and appends to `tests/benchmarks/results/finetune_rate.jsonl` the rates of each round and the ratios of their medians.
"""

import argparse
import json
import statistics
import tempfile
import time
import unittest.mock
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from noise import noise_job
from transformers import Trainer, TrainerCallback, TrainingArguments

from nrray.models import Device, ModelConfig
from nrray.storage import Folder
from nrray.train.batches import MicroBatch, TrainingWindows
from nrray.train.history import StepMeasured, read_history
from nrray.train.job import FinetuneJob
from nrray.train.objective import positive_weights, prior_log_odds
from nrray.train.run import finetune, training_data, training_windows
from nrray.train.trainee.prepared import prepared_trainee
from nrray.train.trainee.trainee import Trainee
from nrray.train.training_config import TrainingConfig
from nrray.workshop.train_embedded import machine_name

RESULTS = Path(__file__).parent / "results" / "finetune_rate.jsonl"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", type=Device, default=Device.CPU)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    ours, theirs, plain = [], [], []
    with tempfile.TemporaryDirectory() as place:
        for number in range(arguments.rounds):
            folder = Path(place) / str(number)
            folder.mkdir()
            job = noise_job(folder, steps=arguments.steps, model=ModelConfig(num_threads=arguments.threads))
            theirs.append(trainer_rate(job, arguments.steps, arguments.device))
            ours.append(loop_rate(job, arguments.device))
            with unittest.mock.patch("nrray.models.families.frame_wise_vlm.FrameWiseVlm.optimize_tower"):
                plain.append(trainer_rate(job, arguments.steps, arguments.device))
            print(
                f"{number}: loop {ours[-1]:.2f}, Trainer {theirs[-1]:.2f}, plain {plain[-1]:.2f} windows/s", flush=True
            )
    row = {
        "machine": machine_name(torch.device(arguments.device.value), arguments.threads),
        "steps": arguments.steps,
        "batch_windows": job.training.batch_windows,
        "loop_windows_per_second": [round(rate, 2) for rate in ours],
        "trainer_windows_per_second": [round(rate, 2) for rate in theirs],
        "plain_windows_per_second": [round(rate, 2) for rate in plain],
        "ratio": round(statistics.median(ours) / statistics.median(theirs), 3),
        "ratio_to_plain": round(statistics.median(ours) / statistics.median(plain), 3),
    }
    with RESULTS.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(row) + "\n")
    print(json.dumps(row, indent=1))


def loop_rate(job: FinetuneJob, device: Device) -> float:
    """The rate over all steps in the history, start and validation excluded."""
    finetune(job, Accelerator(cpu=device is Device.CPU))
    return [event for event in read_history(Folder(job.output)) if isinstance(event, StepMeasured)][
        -1
    ].windows_per_second


class MicroBatches(torch.utils.data.Dataset):  # type: ignore[misc]
    """The micro-batches of all steps, one after the other."""

    def __init__(self, windows: TrainingWindows, *, steps: int, config: TrainingConfig) -> None:
        self._windows = windows
        self._config = config
        self._per_step = config.batch_windows // config.micro_batch_windows
        self._steps = steps

    def __len__(self) -> int:
        return self._steps * self._per_step

    def __getitem__(self, number: int) -> MicroBatch:
        step, index = divmod(number, self._per_step)
        return self._windows.micro_batches(step, self._config.micro_batch_windows)[index]


class WithLoss(torch.nn.Module):  # type: ignore[misc]
    """The module as the Trainer wants it."""

    def __init__(self, module: Trainee, config: TrainingConfig, positive_weight: torch.Tensor) -> None:
        super().__init__()
        self.module = module
        self._objective = config.objective
        self._positive_weight = positive_weight

    def forward(self, inputs: dict[str, torch.Tensor], targets: torch.Tensor) -> dict[str, torch.Tensor]:
        logits = self.module(inputs).float()
        return {"loss": self._objective.cost(logits, targets, positive_weight=self._positive_weight).mean()}


class Clock(TrainerCallback):  # type: ignore[misc]
    def __init__(self) -> None:
        self.times: list[float] = []

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self.times.append(time.perf_counter())

    def on_train_end(self, *_: Any, **__: Any) -> None:
        self.times.append(time.perf_counter())


def trainer_rate(job: FinetuneJob, steps: int, device: Device) -> float:
    config, label_set = job.training, job.label_set
    data = training_data(job)
    trainee = prepared_trainee(
        job.start,
        execution=job.execution.model_copy(update={"device": device}),
        parts=job.parts,
        adapter=job.adapter,
        head=job.head,
        label_set=label_set,
        sampling=job.sampling,
        log_odds=prior_log_odds(data.order.positive_shares),
        config=config,
    )
    windows = training_windows(job, data, trainee, Accelerator(cpu=device is Device.CPU))
    weights = positive_weights(data.order.positive_shares, bound=config.objective.max_positive_weight)
    weight = torch.from_numpy(weights).to(next(trainee.module.parameters()).device)
    clock = Clock()
    trainer = Trainer(
        model=WithLoss(trainee.module, config, weight),
        args=TrainingArguments(
            output_dir=job.output,
            per_device_train_batch_size=1,
            gradient_accumulation_steps=config.batch_windows // config.micro_batch_windows,
            max_steps=steps,
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
            max_grad_norm=config.gradient_norm,
            use_cpu=device is Device.CPU,
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
            remove_unused_columns=False,
        ),
        train_dataset=MicroBatches(windows, steps=steps, config=config),
        data_collator=lambda batches: {"inputs": batches[0].inputs, "targets": batches[0].targets},
        callbacks=[clock],
    )
    trainer.train()
    return steps * config.batch_windows / (clock.times[-1] - clock.times[0])


if __name__ == "__main__":
    main()
