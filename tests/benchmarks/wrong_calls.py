"""Wrong calls of every verb: how long each takes to be told, with which exit code, and whether its words say what was found,
what was expected and what to do, without a traceback and without a word of a library.

    python tests/benchmarks/wrong_calls.py DIR [--only TEXT]

Makes its inputs in DIR and leaves `DIR/wrong_calls.json`; ends with 1 where a call is told badly.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from nrray.archive.manifest import manifest_table
from nrray.config import validate_mapping
from nrray.console.run_record import keep_record
from nrray.decode import DecodeConfig, GuardedDecoder
from nrray.formats import ImportConfig, import_annotations
from nrray.labels import read_label_set
from nrray.pipelines.scan.listing import listed_files
from nrray.pipelines.scan.run import ScanConfig, probed_video
from nrray.storage import Folder
from nrray.writer_lock import WriterLock
from tests.pipelines.scan.support import under_permissions
from tests.videos import write_video

ROOT = Path(__file__).parents[2]
LIMIT_SECONDS = 120.0
WORDS_OF_LIBRARIES = (
    *("Traceback (most recent call last)", "Input should be", "Value error,", "[type=", "errors.pydantic.dev"),
    *("ArrowInvalid", "Errno", "grpc", "StatusCode", "object at 0x"),
)


@dataclass(frozen=True, kw_only=True)
class Call:
    """A wrong command line, the exit code that it deserves, and what its words have to hold: regular expressions."""

    what: str
    call: str
    code: int
    found: str
    expected: str
    advice: str


@dataclass(frozen=True, kw_only=True)
class Told:
    """How a call was told; `lacks` is empty where it was told well."""

    what: str
    command: str
    seconds: float
    code: int | None
    first_line: str
    lacks: list[str]


def make_inputs(folder: Path) -> None:
    """Right inputs, and wrong ones made of them."""
    archive = folder / "archive"
    names = [f"case{number}/{letter}.mp4" for number, letter in enumerate("abcde", start=1)]
    for number, name in enumerate(names):
        (archive / name).parent.mkdir(parents=True)
        write_video(archive / name, fps=10, num_frames=300, gop=number + 2)  # contents differ
    decoder = GuardedDecoder(DecodeConfig())
    videos = [probed_video(file, decoder) for file in listed_files(str(archive), {".mp4"}).files]
    scan = Folder(str(folder / "scan"))
    scan.create()
    scan.write_table("manifest.parquet", manifest_table(videos))
    keep_record(scan, "scan", ScanConfig(archive=str(archive), output=scan.uri))
    text = folder / "texts"
    text.mkdir()
    activities = read_label_set(None).names
    for letter in "abcde":
        lines = [f"{name}\t{1000 * at}\t{1000 * at + 15000}\t15000\n" for at, name in enumerate(activities)]
        (text / f"{letter}.txt").write_text("".join(lines))
    settings = {
        "files": [f"{text}/*.txt"],
        "manifest": f"{folder}/scan/manifest.parquet",
        "output": f"{folder}/annotations",
        "extent": "whole",
    }
    import_annotations(validate_mapping(ImportConfig, settings, where="the settings"))
    parts = {"train": names[:2], "validation": names[2:4], "test": names[4:]}
    (folder / "split.json").write_text(json.dumps({"parts": parts}))
    _make_wrong_inputs(folder)


def _make_wrong_inputs(folder: Path) -> None:
    manifest = (folder / "scan/manifest.parquet").read_bytes()
    (folder / "cut.parquet").write_bytes(manifest[: len(manifest) // 2])
    (folder / "text.parquet").write_text("no table")
    shutil.copy(folder / "annotations/segments.parquet", folder / "segments.parquet")
    (folder / "empty").mkdir()
    (folder / "notes").mkdir()
    (folder / "notes/readme.md").write_text("nothing here")
    (folder / "broken").mkdir()
    (folder / "broken/a.mp4").write_bytes(b"no video" * 100)
    (folder / "broken/b.mp4").write_bytes(b"")
    shutil.copy(folder / "archive/case1/a.mp4", folder / "broken/c.mp4")
    (folder / "closed").mkdir(mode=0o555)
    (folder / "closed_archive").mkdir(mode=0)
    (folder / "busy").mkdir()
    (folder / "foreign").mkdir()
    (folder / "foreign/segments.parquet").write_bytes(b"precious")
    (folder / "bad.yaml").write_text("archive: [unclosed\noutput: x\n")
    (folder / "list.yaml").write_text("- archive\n")
    (folder / "twice.yaml").write_text("archive: a\narchive: b\noutput: x\n")
    (folder / "latin.yaml").write_bytes("archive: Stra\xdfe\n".encode("latin-1"))
    (folder / "cases.csv").write_text("case,path\n1,a\n")
    (folder / "other_cases.csv").write_text("case_id,video_path\nx,elsewhere/z.mp4\n")
    (folder / "split_text.json").write_text("train: a")
    parts = {"train": ["nobody"], "validation": [], "test": ["case5/e.mp4"]}
    (folder / "split_other.json").write_text(json.dumps({"parts": parts}))
    (folder / "labels.yaml").write_text(
        "name: other\nactivities:\n  - name: waving\n    definition: d\n    starts: s\n    ends: e\n    question: q?\n"
    )
    (folder / "bad_labels.yaml").write_text("name: other\nactivities:\n  - name: Waving Hands\n")
    (folder / "bad.txt").write_text("suction\t0\t2000\t2000\nsuction 1\nhumming\t1\t2\t1\nsuction\tx\t2\t3\n")
    (folder / "stranger.txt").write_text("suction\t0\t2000\t2000\n")
    (folder / "odd.xyz").write_text("x")
    (folder / "model").mkdir()
    (folder / "model/config.json").write_text("{}")


def read_calls() -> list[Call]:
    """All calls, verb by verb."""
    rows = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())
    return [Call(**row) for row in rows]


def told(call: Call, folder: Path, ports: dict[str, int]) -> Told:
    """Run a call in a folder of its own, as a user whom permissions hold."""
    where = folder / "called"
    where.mkdir(exist_ok=True)
    line = call.call.replace("DIR", str(folder))
    for name, port in ports.items():
        line = line.replace(name, str(port))
    before, _, after = line.partition("nrray ")
    settings = dict(word.split("=", 1) for word in before.split())
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", **settings}
    command = [*under_permissions(), sys.executable, "-m", "nrray", *shlex.split(after)]
    started = time.monotonic()
    try:
        done = subprocess.run(
            command, cwd=where, env=environment, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
        )
        code, said, errors = done.returncode, done.stdout + done.stderr, done.stderr
    except subprocess.TimeoutExpired as error:
        code, said, errors = None, str(error.stdout or b""), f"no answer within {LIMIT_SECONDS:.0f} s"
    seconds = time.monotonic() - started
    lacks = [] if code == call.code else [f"exit code {call.code}"]
    for name in ("found", "expected", "advice"):
        if not re.search(getattr(call, name), said, flags=re.DOTALL):
            lacks.append(f"{name}: {getattr(call, name)}")
    lacks += [f"no word of a library: {words}" for words in WORDS_OF_LIBRARIES if words in said]
    lines = [line for line in (errors or said).splitlines() if line.strip(" │╭╮╰╯─")]
    first = next((line for line in lines if line.lower().startswith("error: ")), lines[0] if lines else "")
    return Told(
        what=call.what,
        command=call.call,
        seconds=round(seconds, 1),
        code=code,
        first_line=first.replace(str(folder), "DIR").replace(str(ROOT), "ROOT"),
        lacks=lacks,
    )


@contextmanager
def silent_and_refusing_ports() -> Iterator[dict[str, int]]:
    """A port whose server accepts and says nothing, and one that nobody listens at."""
    with socket.socket() as silent, socket.socket() as refusing:
        for server in (silent, refusing):
            server.bind(("127.0.0.1", 0))
        silent.listen(20)
        yield {"SILENT": silent.getsockname()[1], "REFUSING": refusing.getsockname()[1]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="for inputs and the result; made anew")
    parser.add_argument("--only", default="", help="calls whose description holds this text")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    inputs = folder / "inputs"
    if inputs.exists():
        for closed in ("closed", "closed_archive"):
            (inputs / closed).chmod(0o755)
        shutil.rmtree(inputs)
    inputs.mkdir(parents=True)
    make_inputs(inputs)
    results: list[Told] = []
    load = os.getloadavg()[0]  # of the processes that run beside: seconds are of that
    with ExitStack() as stack:
        ports = stack.enter_context(silent_and_refusing_ports())
        stack.enter_context(WriterLock(Folder(str(inputs / "busy"))))
        for call in read_calls():
            if arguments.only not in call.what:
                continue
            result = told(call, inputs, ports)
            results.append(result)
            mark = "ok " if not result.lacks else "BAD"
            print(
                f"{mark} {result.seconds:5.1f} s  {result.code}  {result.what}: {result.first_line[:150]}", flush=True
            )
            for lack in result.lacks:
                print(f"       lacks {lack}", flush=True)
    bad = [result for result in results if result.lacks]
    document = {
        "cpus": os.cpu_count(),
        "load_at_start": round(load, 1),
        "calls": len(results),
        "told_badly": len(bad),
        "longest_seconds": max((result.seconds for result in results), default=0.0),
        "results": [asdict(result) for result in results],
    }
    (folder / "wrong_calls.json").write_text(json.dumps(document, indent=1) + "\n")
    print(f"{len(results)} wrong calls, {len(bad)} told badly, the longest took {document['longest_seconds']} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
