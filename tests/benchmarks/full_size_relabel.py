"""`nrray relabel` with a model of a published size on this machine's GPU: decoding, labelers, judges and ledger together.

    python -m tests.benchmarks.full_size_relabel --folder DIR [--model Qwen3-VL-2B] [--cases 16] [--seconds 120] [--tiny]

Simulates cases into DIR, labels them by a random head, by scored yes/no questions, and by captions that a judge of Mistral-7B's
size reads in a second pool, and prints one JSON line each: what relabel says of its speed, windows per second of labelers and
judges while they were at work, which says what waiting for frames cost, and the share of time that the GPU was busy.
"""

import argparse
import json
import statistics
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from nrray.config import validate_mapping
from nrray.console.reporter import Reporter
from nrray.labels import read_label_set
from nrray.pipelines.on_ray.session import ray_session
from nrray.pipelines.relabel.job import RelabelConfig
from nrray.pipelines.relabel.run import RelabelOptions, relabel
from nrray.pipelines.scan.run import ScanConfig, scan
from nrray.pipelines.simulate import simulate
from nrray.pipelines.study.costs import labelling_of
from nrray.results.ledger import Ledger
from nrray.simulate import SimulateConfig
from nrray.storage import Folder
from tests.benchmarks.full_size import gpu_sampler, random_head
from tests.benchmarks.shapes import SHAPES, judge_of

SEED = 20_260_212


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--model", default="Qwen3-VL-2B", choices=[name for name in SHAPES if SHAPES[name].knows_words])
    parser.add_argument("--ways", nargs="+", default=["head", "yes_no, scored", "judge"])
    parser.add_argument("--cases", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=120.0, help="of each case")
    parser.add_argument("--tiny", action="store_true", help="a few layers, to try the script without a GPU")
    arguments = parser.parse_args()
    root, label_set, reporter = arguments.folder.absolute(), read_label_set(), Reporter(is_json=True)
    shape = SHAPES[arguments.model]
    model = shape.written(root / arguments.model, label_set, is_tiny=arguments.tiny)
    sampling = shape.sampling(is_tiny=arguments.tiny)
    on_gpu = torch.cuda.is_available()
    ways: dict[str, Mapping[str, Any] | None] = {"head": None, "yes_no, scored": {"kind": "yes_no", "answer_tokens": 0}}
    if "judge" in arguments.ways:
        judge = judge_of(root / "judge", label_set, is_tiny=arguments.tiny)
        dtype = "bfloat16" if on_gpu else "float32"
        ways["judge"] = {"kind": "judge", "judge": {"model": str(judge), "dtype": dtype}}
    archive = SimulateConfig(
        output=str(root / "archive"), num_cases=arguments.cases, case_seconds=arguments.seconds, seed=SEED
    )
    simulate(archive, reporter)
    with ray_session():
        scan(ScanConfig(archive=str(root / "archive" / "videos"), output=str(root / "scan")), reporter)
        for way in arguments.ways:
            settings = {
                "manifest": str(root / "scan" / "manifest.parquet"),
                "output": str(root / "labels" / way.replace(", ", "-")),
                "model": {"path": str(model), "micro_batch_windows": 32},
                "sampling": sampling.model_dump(),
                "outside_domain": "label",
                "max_unparsed_share": 1.0,
                **({} if ways[way] is None else {"strategy": ways[way]}),
            }
            with random_head(model, label_set, sampling) if way == "head" else nullcontext():
                print(json.dumps({"model": arguments.model, "way": way, **measured(settings, reporter)}), flush=True)


def measured(settings: Mapping[str, Any], reporter: Reporter) -> dict[str, Any]:
    on_gpu = torch.cuda.is_available()
    busy = gpu_sampler() if on_gpu else None
    config = validate_mapping(RelabelConfig, settings, where="full_size_relabel")
    record = relabel(config, RelabelOptions(), reporter).record
    assert record is not None
    assert record.measured is not None
    ledger = Ledger(Folder(settings["output"]))
    windows, seconds = labelling_of(ledger)
    found: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if on_gpu else "cpu",
        "windows": windows,
        "windows per second of labelers and judges alone": round(windows / seconds, 1),
        "measured": record.measured.model_dump(mode="json"),
    }
    if busy is not None:
        busy.terminate()
        shares = [float(line) for line in busy.communicate()[0].split()]
        at_work = [share for share in shares if share > 0]
        found["GPU busy share, start included"] = round(statistics.mean(shares) / 100, 2) if shares else None
        found["GPU busy share, while it worked"] = round(statistics.mean(at_work) / 100, 2) if at_work else None
    return found


if __name__ == "__main__":
    main()
