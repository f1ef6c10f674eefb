"""How busy the pools of a labelling with a judge were, and how many captions a judge read, from what it left.

    python -m tests.benchmarks.pool_shares LABELS...

LABELS are outputs of `nrray relabel` with strategy.kind=judge, focused_judge or judge_json and a judging model, each made by one
run. A pool's busy share is the seconds that its workers were at work, over their number times the seconds from the start of the
first unit that was described to the end of the last one. The labeler's seconds are those that no judge took.
"""

import argparse
import re

import numpy as np

from nrray.models.strategies.judged import JUDGE_NAME
from nrray.results.ledger import Ledger
from nrray.results.version import read_version_record
from nrray.storage import Folder

POOLS = re.compile(r"(\d+) decoders?, (\d+) labelers? and (\d+) judges?")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", nargs="+", help="outputs of relabel with a judging model")
    print("| output | windows/s | decoders busy | labelers busy | judges busy | windows a judge reads, /s |")
    print("|---|---|---|---|---|---|")
    for uri in parser.parse_args().labels:
        print(f"| {uri.rstrip('/').rsplit('/', 1)[-1]} | {' | '.join(shares(uri))} |", flush=True)


def shares(uri: str) -> tuple[str, ...]:
    """The cells of an output's row."""
    record = read_version_record(Folder(uri) / "latest")
    found = None if record.measured is None else POOLS.search(record.measured.pools)
    if found is None:
        raise SystemExit(f"{uri}: its last run had no judges, or nothing to do")
    decoders, labelers, judges = map(int, found.groups())
    ledger = Ledger(Folder(uri))
    index = ledger.index()
    units = ledger.results(index["video_id"].unique(), index).to_pylist()
    judged = np.array([judge_seconds(unit) for unit in units])
    labelled = np.array([unit["label_seconds"] for unit in units]) - judged
    ends = np.array([unit["finished_us"] for unit in units]) / 1e6
    # Units that a judge read together end together, and have an equal share of its seconds each.
    together = record.config["pools"]["judge_units"]
    span = float(ends.max() - (ends - labelled - together * judged).min())
    windows = sum(unit["num_windows"] for unit in units)
    decoding = sum(unit["decode_seconds"] for unit in units)
    return (
        f"{windows / span:.2f}",
        f"{decoding / decoders / span:.0%} of {decoders}",
        f"{labelled.sum() / labelers / span:.0%} of {labelers}",
        f"{judged.sum() / judges / span:.0%} of {judges}",
        f"{windows / judged.sum():.2f}",
    )


def judge_seconds(unit: dict[str, object]) -> float:
    """That a unit's judging answers took; the answers of a window follow each other."""
    questions, seconds = unit["questions"], unit["answer_seconds"]
    assert isinstance(questions, list)
    is_judged = [name.startswith(JUDGE_NAME) for name in questions]
    return float(np.reshape(seconds, (-1, len(questions)))[:, is_judged].sum())


if __name__ == "__main__":
    main()
