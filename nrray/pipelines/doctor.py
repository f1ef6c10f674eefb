"""`nrray doctor`: this machine's equipment, whether it suffices, and advice. Starts no Ray; opens a connection to a server that
it is told to ask, and no other."""

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import av
import psutil
from packaging.requirements import Requirement

import nrray
from nrray.console.reporter import Reporter
from nrray.decode import DecodeBackend
from nrray.errors import ModelError
from nrray.isolation import isolated_python
from nrray.labels import read_label_set
from nrray.models import CheckpointChoice, Execution, LabelerFigures, measure_labeler, resolve_checkpoint
from nrray.models.config import EMBEDDED
from nrray.models.engines import OpenAiSection
from nrray.pipelines.doctor_server import server_findings
from nrray.pipelines.findings import Finding, Verdict

GIB = 2**30
LOW_DISK_BYTES, NO_DISK_BYTES = 10 * GIB, GIB
LOW_SHARED_MEMORY_BYTES = 2 * GIB  # Ray keeps decoded frames there, and on disk where it is too small
LOW_MEMORY_BYTES = 6 * GIB
CHECK_SECONDS = 120
OPTIONAL_BACKENDS = tuple(backend.value for backend in DecodeBackend if backend is not DecodeBackend.PYAV)

# Codec of a video stream to the software decoders of FFmpeg that suffice; FFmpeg's own `av1` needs hardware.
CODEC_DECODERS: dict[str, tuple[str, ...]] = {
    "h264": ("h264",),
    "hevc": ("hevc",),
    "vp8": ("vp8", "libvpx"),
    "vp9": ("vp9", "libvpx-vp9"),
    "av1": ("libdav1d", "libaom-av1"),
    "mpeg4": ("mpeg4",),
    "mjpeg": ("mjpeg",),
}


@dataclass(frozen=True, kw_only=True)
class Examination:
    """All findings, and the verdict on the machine."""

    findings: tuple[Finding, ...]

    @property
    def can_run(self) -> bool:
        return all(finding.verdict is not Verdict.FAIL for finding in self.findings)

    @property
    def sentence(self) -> str:
        counts = {verdict: sum(finding.verdict is verdict for finding in self.findings) for verdict in Verdict}
        if counts[Verdict.FAIL]:
            return f"This machine cannot run nrray yet: {counts[Verdict.FAIL]} of the findings above must be mended."
        if counts[Verdict.WARN]:
            return f"This machine can run nrray; {counts[Verdict.WARN]} of the findings above may slow or limit it."
        return "This machine can run nrray."


def run_doctor(
    *,
    model: str | None,
    label_set: str | None,
    reporter: Reporter,
    adapter: str | None = None,
    verify: bool = False,
    server: OpenAiSection | None = None,
    allow_remote: bool = False,
) -> bool:
    """Examine and report; with `model`, or an `adapter` of it (of the embedded one where no model is given), also load and time
    it; with `verify`, also compare its files with the digests that are stated of them; with `server`, also ask that.
    Returns whether nrray can run here.

    Raises ModelError, ConfigError for a `model`, `adapter` or `label_set` that cannot be used.
    """
    choice = CheckpointChoice(path=model or EMBEDDED, adapter=adapter)
    # A misspelt path, or an adapter of something else, is an error before seconds of examination.
    checkpoint = resolve_checkpoint(choice) if model is not None or adapter is not None or verify else None
    verified = None
    if checkpoint is not None and verify:
        from nrray.models.verify import verified_checkpoint  # with torch

        verified = verified_checkpoint(checkpoint)
        reporter.say(verified.sentence)
    if checkpoint is not None and adapter is not None:
        from nrray.models.fitting import check_adapter  # with torch and peft, which take seconds

        check_adapter(checkpoint)
    here = tuple(examined_machine())
    report_findings("This machine", here, reporter)
    there = () if server is None else server_findings(server, allow_remote=allow_remote)
    if server is not None:
        report_findings(f"Server {server.url}", there, reporter)
    examination = Examination(findings=(*here, *there))
    figures: LabelerFigures | None = None
    if checkpoint is not None:
        figures = measure_labeler(checkpoint, label_set=read_label_set(label_set), execution=Execution())
        title = choice.path if adapter is None else f"{choice.path} with {adapter}"
        reporter.table(f"Model {title}", ["figure", "value"], _figure_rows(figures))
    reporter.say(examination.sentence)
    reporter.finish(
        {
            "can_run": examination.can_run,
            "sentence": examination.sentence,
            "findings": [asdict(finding) for finding in examination.findings],
            "model": asdict(figures) if figures is not None else None,
            "verified": asdict(verified) if verified is not None else None,
        }
    )
    return examination.can_run


def report_findings(title: str, findings: Sequence[Finding], reporter: Reporter) -> None:
    """The findings as a table, the advice below it."""
    rows = [[finding.name, finding.verdict.value, finding.value] for finding in findings]
    reporter.table(title, ["", "verdict", "found"], rows)
    for finding in findings:
        if finding.advice:
            reporter.say(f"{finding.verdict.value}: {finding.name}: {finding.advice}")


def examined_machine() -> list[Finding]:
    """Findings on everything that a run depends on. Takes seconds: torch is imported, the other decoders are tried."""
    checking = {name: _checking(name) for name in OPTIONAL_BACKENDS}
    here, temporary = Path.cwd(), Path(tempfile.gettempdir())
    return [
        python_finding(sys.version_info[:3]),
        Finding(name="nrray", value=nrray.__version__),
        package_finding("ray"),
        package_finding("torch"),
        *_cuda_findings(),
        package_finding("av"),
        codec_finding(decodable_codecs()),
        *(backend_finding(name, process) for name, process in checking.items()),
        vllm_finding(_vllm_version(), has_gpu=_has_gpu()),
        Finding(name="CPUs", value=str(len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count())),
        memory_finding(_memory_bytes()),
        *([shared_memory_finding(shutil.disk_usage("/dev/shm").total)] if Path("/dev/shm").is_dir() else []),
        disk_finding(here, shutil.disk_usage(here).free),
        *([disk_finding(temporary, shutil.disk_usage(temporary).free)] if temporary != here else []),
        offline_finding(os.environ),
        embedded_finding(),
    ]


def python_finding(version: Sequence[int]) -> Finding:
    text = ".".join(str(part) for part in version)
    if tuple(version[:2]) < (3, 10):
        return Finding(name="Python", value=text, verdict=Verdict.FAIL, advice="install Python 3.10 or newer")
    return Finding(name="Python", value=f"{text} on {platform.system()} {platform.machine()}")


def package_finding(name: str) -> Finding:
    """Whether the installed version of a package is within nrray's bounds; reads the metadata, imports nothing."""
    wanted = next(
        (found for found in map(Requirement, importlib.metadata.requires("nrray") or ()) if found.name == name), None
    )
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        advice = f"pip install '{name}{wanted.specifier if wanted else ''}'"
        return Finding(name=name, value="not installed", verdict=Verdict.FAIL, advice=advice)
    if wanted is not None and not wanted.specifier.contains(version.split("+")[0], prereleases=True):
        advice = f"nrray is tested with {name} {wanted.specifier}: pip install '{name}{wanted.specifier}'"
        return Finding(name=name, value=version, verdict=Verdict.WARN, advice=advice)
    return Finding(name=name, value=version)


def decodable_codecs() -> dict[str, bool]:
    """Whether PyAV's FFmpeg has a software decoder, by codec."""
    return {codec: bool(av.codecs_available.intersection(names)) for codec, names in CODEC_DECODERS.items()}


def codec_finding(decodable: Mapping[str, bool]) -> Finding:
    value = "decodes " + (" ".join(name for name, can in decodable.items() if can) or "nothing")
    missing = [name for name, can in decodable.items() if not can]
    if not missing:
        return Finding(name="codecs of PyAV", value=value)
    return Finding(
        name="codecs of PyAV",
        value=value,
        verdict=Verdict.FAIL if "h264" in missing else Verdict.WARN,
        advice=f"videos in {', '.join(missing)} will fail: install PyAV from its wheel (pip install --force-reinstall av)",
    )


def backend_finding(name: str, process: "subprocess.Popen[str]") -> Finding:
    """The outcome of a decode with `name` in a child: a decoder with clashing libraries may crash its process."""
    label = f"{name} (by choice)"
    try:
        output, error = process.communicate(timeout=CHECK_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return Finding(name=label, value=f"did not decode within {CHECK_SECONDS} s", verdict=Verdict.WARN)
    if process.returncode == 0:
        return Finding(name=label, value=output.strip())
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    named = next((line for line in lines if "Error" in line and not line.startswith(("File", "raise"))), None)
    reason = named or (lines[-1] if lines else f"exit {process.returncode}")
    # PyAV is enough, so this is no warning.
    return Finding(name=label, value=f"not usable: {reason[:200]}")


def vllm_finding(version: str | None, *, has_gpu: bool) -> Finding:
    """Whether strategy.engine=vllm runs here. version: None where vLLM is not installed."""
    name = "vllm (by choice)"
    if version is None:
        return Finding(name=name, value="not usable: not installed (pip install 'nrray[vllm]')")
    if not has_gpu:
        return Finding(name=name, value=f"not usable: {version}, but there is no CUDA device for strategy.engine=vllm")
    return Finding(name=name, value=version)


def memory_finding(total_bytes: int) -> Finding:
    value = f"{total_bytes / GIB:.1f} GiB"
    if total_bytes < LOW_MEMORY_BYTES:
        advice = f"Ray and a labeler want about {LOW_MEMORY_BYTES // GIB} GiB: close other programs, keep pools small"
        return Finding(name="memory", value=value, verdict=Verdict.WARN, advice=advice)
    return Finding(name="memory", value=value)


def shared_memory_finding(total_bytes: int) -> Finding:
    value = f"{total_bytes / GIB:.1f} GiB"
    if total_bytes < LOW_SHARED_MEMORY_BYTES:
        advice = "Ray falls back to disk, which is slow: start the container with --shm-size=4g or --ipc=host"
        return Finding(name="/dev/shm", value=value, verdict=Verdict.WARN, advice=advice)
    return Finding(name="/dev/shm", value=value)


def disk_finding(folder: Path, free_bytes: int) -> Finding:
    name, value = f"disk at {folder}", f"{free_bytes / GIB:.1f} GiB free"
    if free_bytes < NO_DISK_BYTES:
        return Finding(name=name, value=value, verdict=Verdict.FAIL, advice="free at least 1 GiB, or use another disk")
    if free_bytes < LOW_DISK_BYTES:
        advice = "Ray spills to disk when memory is short, and warns below 10 GiB: free some"
        return Finding(name=name, value=value, verdict=Verdict.WARN, advice=advice)
    return Finding(name=name, value=value)


def offline_finding(environment: Mapping[str, str]) -> Finding:
    """Whether telemetry and model-hub access are off, as importing nrray leaves them."""
    open_doors = [name for name, value in nrray.LOCAL_ONLY_ENVIRONMENT.items() if environment.get(name) != value]
    if environment.get("HF_HUB_OFFLINE") != "1":
        open_doors.append("HF_HUB_OFFLINE")
    if open_doors:
        listed = ", ".join(f"{name}={environment.get(name, '(unset)')}" for name in open_doors)
        advice = "libraries may reach the network: unset these, nrray then sets them itself"
        return Finding(name="offline", value=listed, verdict=Verdict.WARN, advice=advice)
    return Finding(name="offline", value="telemetry off, model hub off")


def embedded_finding() -> Finding:
    try:
        return Finding(name="embedded model", value=f"digest {resolve_checkpoint(CheckpointChoice()).digest[:16]}")
    except ModelError as error:
        advice = "install nrray from its wheel, or give every config a model.path of your own"
        return Finding(name="embedded model", value=str(error), verdict=Verdict.FAIL, advice=advice)


def _checking(name: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        isolated_python("nrray.decode.checked_backend", name),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )


def _cuda_findings() -> list[Finding]:
    try:
        import torch
    except ImportError as error:
        return [Finding(name="CUDA", value=str(error), verdict=Verdict.FAIL, advice="reinstall torch")]
    if not torch.cuda.is_available():
        built = "no device found" if torch.version.cuda else "torch is built without it"
        return [Finding(name="CUDA", value=f"none: {built}; models run on CPUs")]
    findings = []
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        bf16 = "bf16" if facts.major >= 8 else "no bf16: set model.dtype to float32"
        value = f"{facts.name}, {facts.total_memory / GIB:.0f} GiB, {bf16}"
        findings.append(Finding(name=f"CUDA device {index}", value=value))
    return findings


def _vllm_version() -> str | None:
    try:
        return importlib.metadata.version("vllm")
    except importlib.metadata.PackageNotFoundError:
        return None


def _has_gpu() -> bool:
    try:
        import torch
    except ImportError:
        return False
    return bool(torch.cuda.is_available())


def _memory_bytes() -> int:
    """Memory of the machine, or of the container where that is less."""
    limits = [int(psutil.virtual_memory().total)]
    for file in (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")):
        if file.is_file() and (text := file.read_text().strip()).isdigit():
            limits.append(int(text))
    return min(limits)


def _figure_rows(figures: LabelerFigures) -> list[list[object]]:
    return [
        [name.removesuffix("_bytes").replace("_", " "), _figure(name, value)] for name, value in asdict(figures).items()
    ]


def _figure(name: str, value: Any) -> object:
    if name.endswith("bytes"):
        return f"{value / 2**20:,.1f} MiB"
    if name.startswith("flops"):
        return f"{value / 1e9:,.2f} G"
    return f"{value:,}" if isinstance(value, int) else value if isinstance(value, float) else str(value)
