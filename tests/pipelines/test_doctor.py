import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import ray

import nrray
from nrray.console.reporter import Reporter
from nrray.errors import ModelError
from nrray.pipelines.doctor import (
    Examination,
    Finding,
    Verdict,
    backend_finding,
    codec_finding,
    decodable_codecs,
    disk_finding,
    embedded_finding,
    examined_machine,
    memory_finding,
    offline_finding,
    package_finding,
    python_finding,
    report_findings,
    run_doctor,
    shared_memory_finding,
    vllm_finding,
)

GIB = 2**30


@pytest.fixture(scope="module")
def findings():
    return examined_machine()


def test_everything_that_a_run_depends_on_is_looked_at(findings):
    names = {finding.name for finding in findings}
    expected = {
        "Python",
        "nrray",
        "ray",
        "torch",
        "av",
        "codecs of PyAV",
        "memory",
        "CPUs",
        "offline",
        "embedded model",
    }
    assert expected <= names
    assert {"decord (by choice)", "torchcodec (by choice)"} <= names
    assert any(name.startswith("CUDA") for name in names)
    assert any(name.startswith("disk at") for name in names)
    assert ("/dev/shm" in names) == Path("/dev/shm").is_dir()


def test_every_finding_is_one_line_and_each_failure_says_what_to_do(findings):
    for finding in findings:
        assert finding.value
        assert "\n" not in finding.value + finding.advice
        assert finding.advice or finding.verdict is not Verdict.FAIL


def test_examining_starts_no_ray(findings):
    assert findings
    assert not ray.is_initialized()


def test_only_a_failure_stops_a_run():
    fine, warned, failed = (Finding(name="x", value="y", verdict=verdict) for verdict in Verdict)
    assert Examination(findings=(fine,)).can_run
    assert Examination(findings=(fine,)).sentence == "This machine can run nrray."
    assert Examination(findings=(fine, warned, warned)).can_run
    assert "; 2 of the findings" in Examination(findings=(fine, warned, warned)).sentence
    assert not Examination(findings=(fine, warned, failed)).can_run
    assert "cannot run nrray yet: 1 of" in Examination(findings=(fine, warned, failed)).sentence


@pytest.mark.parametrize(
    ("finding", "verdict"),
    [
        (python_finding((3, 9, 20)), Verdict.FAIL),
        (python_finding((3, 13, 0)), Verdict.OK),
        (disk_finding(Path("/x"), GIB // 2), Verdict.FAIL),
        (disk_finding(Path("/x"), 5 * GIB), Verdict.WARN),
        (disk_finding(Path("/x"), 50 * GIB), Verdict.OK),
        (shared_memory_finding(64 * 2**20), Verdict.WARN),
        (shared_memory_finding(8 * GIB), Verdict.OK),
        (memory_finding(2 * GIB), Verdict.WARN),
        (memory_finding(16 * GIB), Verdict.OK),
        (package_finding("ray"), Verdict.OK),
        (package_finding("no-such-package-of-ours"), Verdict.FAIL),
        (codec_finding({"h264": False, "vp8": True}), Verdict.FAIL),
        (codec_finding({"h264": True, "vp8": False}), Verdict.WARN),
    ],
)
def test_verdicts(finding, verdict):
    assert finding.verdict is verdict


def test_pyav_decodes_what_archives_hold():
    decodable = decodable_codecs()
    assert set(decodable) == {"h264", "hevc", "vp8", "vp9", "av1", "mpeg4", "mjpeg"}
    assert decodable["h264"]
    assert decodable["mjpeg"]


def test_an_open_door_to_the_network_is_named():
    closed = {**nrray.LOCAL_ONLY_ENVIRONMENT, "HF_HUB_OFFLINE": "1"}
    assert offline_finding(closed).verdict is Verdict.OK
    opened = offline_finding({**closed, "HF_HUB_OFFLINE": "0", "RAY_USAGE_STATS_ENABLED": "1"})
    assert opened.verdict is Verdict.WARN
    assert opened.value == "RAY_USAGE_STATS_ENABLED=1, HF_HUB_OFFLINE=0"


def child(program):
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_decoder_that_cannot_be_imported_costs_one_line():
    program = "raise RuntimeError('Could not load libav:\\n  FFmpeg 7: no\\n  FFmpeg 6: no')"
    finding = backend_finding("torchcodec", child(program))
    assert finding.verdict is Verdict.OK
    assert finding.value == "not usable: RuntimeError: Could not load libav:"


def test_a_decoder_that_is_not_installed_is_named_with_its_extra(findings):
    if importlib.util.find_spec("torchcodec") is not None:
        pytest.skip("torchcodec is installed")
    (finding,) = (finding for finding in findings if finding.name == "torchcodec (by choice)")
    assert finding.verdict is Verdict.OK
    assert finding.value.startswith("not usable: torchcodec cannot be used here (No module named 'torchcodec')")
    assert "pip install 'nrray[torchcodec]'" in finding.value


def test_vllm_is_named_with_what_it_lacks():
    assert "pip install 'nrray[vllm]'" in vllm_finding(None, has_gpu=True).value
    assert vllm_finding("0.33.0", has_gpu=False).value.startswith("not usable: 0.33.0, but there is no CUDA device")
    assert vllm_finding("0.33.0", has_gpu=True).value == "0.33.0"


def test_a_decoder_that_kills_its_process_costs_one_line():
    finding = backend_finding("decord", child("import os; os.kill(os.getpid(), 11)"))
    assert finding.value == "not usable: exit -11"


def test_a_decoder_that_can_be_imported_has_a_version():
    assert backend_finding("decord", child("print('0.6.0')")).value == "0.6.0"


def test_advice_is_printed_below_the_table(capsys):
    bad = Finding(name="disk", value="0.1 GiB free", verdict=Verdict.FAIL, advice="free some")
    report_findings("This machine", (bad,), Reporter())
    printed = capsys.readouterr().out
    assert "0.1 GiB free" in printed
    assert "fail: disk: free some" in printed


def test_a_model_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(ModelError, match="found nothing"):
        run_doctor(model=str(tmp_path / "none"), label_set=None, reporter=Reporter(is_json=True))


def test_json_is_one_document_with_the_figures_of_the_model(capsys):
    if embedded_finding().verdict is not Verdict.OK:
        pytest.skip("this tree has no embedded model")
    can_run = run_doctor(model="embedded", label_set=None, reporter=Reporter(is_json=True))
    document = json.loads(capsys.readouterr().out)
    assert document["can_run"] is can_run
    assert {"name", "value", "verdict", "advice"} == set(document["findings"][0])
    assert document["model"]["windows_per_second"] > 0
    assert document["model"]["parameter_count"] > 0


def test_figures_of_a_model_have_units(capsys):
    run_doctor(model="embedded", label_set=None, reporter=Reporter())
    said = capsys.readouterr().out
    for figure in (r"parameter count +\d,\d{3},\d{3}", r"memory +\d+\.\d MiB", r"flops per window +\d\.\d\d G"):
        assert re.search(figure, said), said
