"""Each message of the checks is provoked, on a machine that has nothing else wrong."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import pytest
from fake_machine import CPU_TORCH, GIB, T4, FakeMachine

from vtune.errors import VtuneError
from vtune.machine import check_machine, check_names
from vtune.machine import checks as checks_package
from vtune.machine.checks.torch import REINSTALL
from vtune.machine.disk_speed import Space
from vtune.machine.finding import Finding
from vtune.machine.this_machine import Answer
from vtune.machine.tries import TooBusy

DRIVER = "| NVIDIA-SMI 525.60   Driver Version: 525.60   CUDA Version: 12.0 |"
CUDA_TORCH = {"version": "2.9.0", "cuda": "12.8"}
WORDS = "python -c 'import whisper; whisper.load_model(\"tiny.en\")'"
CPU = "vtune run RECIPE --device cpu"

# check, what is changed in the machine, status, words that are seen, words of the line that mends it
CASES: list[tuple[str, dict[str, Any], str, str, str]] = [
    ("python", {}, "ok", "Python 3.12.1, 64 bits, on Linux", ""),
    ("python", {"python": (3, 10, 4)}, "error", "Python 3.10.4 is too old", "uv venv --python 3.12"),
    ("python", {"python_bits": 32}, "error", "has 32 bits", "64-bit Python"),
    ("torch", {}, "note", "there is no GPU that it can use", ""),
    ("torch", {"broken": {"torch": "OSError: cudart"}}, "error", "torch cannot be imported: OSError: cudart",
     "pip install --force-reinstall torch"),
    ("torch", {"torch": T4}, "ok", "torch 2.9.0 with CUDA 12.8 sees 1 GPU (Tesla T4, compute capability 7.5)", ""),
    ("torch", {"torch": {**T4, "hip": "6.4"}}, "ok", "with ROCm 6.4", ""),
    ("torch", {"torch": {**T4, "capability": [6, 1], "gpu": "GTX 1080"}}, "error",
     "has no code for GTX 1080 (capability 6.1), only for sm_75, sm_80, sm_90", REINSTALL),
    ("torch", {"commands": {"nvidia-smi": DRIVER}}, "error", "torch 2.9.0+cpu was built without CUDA", REINSTALL),
    ("torch", {"commands": {"nvidia-smi": DRIVER}, "torch": {**CUDA_TORCH, "cuda": "13.0"}}, "error",
     "was built for CUDA 13.0, and the driver knows CUDA 12.0 at most", "Update the NVIDIA driver, or: pip install"),
    ("torch", {"commands": {"nvidia-smi": DRIVER}, "torch": CUDA_TORCH, "environ": {"CUDA_VISIBLE_DEVICES": "-1"}},
     "error", "CUDA_VISIBLE_DEVICES='-1' hides every GPU", "unset CUDA_VISIBLE_DEVICES"),
    ("torch", {"commands": {"nvidia-smi": DRIVER}, "torch": CUDA_TORCH}, "error",
     "nvidia-smi shows a GPU, but torch 2.9.0 (CUDA 12.8) does not see it", "torch.zeros(1).cuda()"),
    ("torch", {"torch": CUDA_TORCH}, "note", "there is no NVIDIA driver", "nvidia-smi"),
    ("torch", {"torch": {"mps": True, "mps_built": True}, "system": "Darwin"}, "ok", "the GPU of this Mac (MPS)", ""),
    ("torch", {"system": "Darwin"}, "warning", "was built without MPS", "pip install --force-reinstall torch"),
    ("torch", {"torch": {"xpu": True}}, "ok", "sees an Intel GPU (XPU)", ""),
    ("versions", {}, "ok", "All versions go together", ""),
    ("versions", {"versions": {"transformers": "5.1.0"}}, "error",
     "transformers 5.1.0 is installed, and vtune needs >=5.20", "pip install 'transformers>=5.20'"),
    ("versions", {"versions": {"transformers": None}}, "error", "transformers is not installed",
     "pip install 'transformers>=5.20'"),
    ("versions", {"versions": {"torchaudio": "2.9.0"}, "broken": {"import torchaudio": "OSError: no library"}}, "error",
     "torchaudio 2.9.0 beside torch 2.9.0+cpu: torchaudio's C++ code does not load", "pip uninstall -y torchaudio"),
    ("versions", {"versions": {"torchaudio": "2.9.0"}}, "ok", "All versions go together", ""),
    ("versions", {"versions": {"torchvision": "0.24"}, "broken": {"import torchvision": "RuntimeError: nms"}}, "error",
     "RuntimeError: nms", "pip uninstall -y torchvision"),
    ("versions", {"versions": {"webrtcvad": "2", "setuptools": "82.0"}, "broken": {"import webrtcvad": "no"}},
     "error", "webrtcvad imports pkg_resources", "pip install 'setuptools<81'"),
    ("versions", {"versions": {"numba": "0.59.1"}}, "error", "was built for NumPy 1", "pip install --upgrade numba"),
    ("versions", {"broken": {"import peft": "ImportError: x"}}, "error", "peft cannot be imported: ImportError: x",
     "pip install --upgrade peft transformers"),
    ("precision", {}, "ok", "A training step works on cpu in fp32, bf16", ""),
    ("precision", {"torch": T4}, "note", "Tesla T4 does not multiply in bf16; `precision: auto` trains in fp16", ""),
    ("precision", {"torch": T4, "broken": {"bf16 on cuda": "none"}}, "note", "bf16 does not work on cuda: none",
     "train.precision=fp16"),
    ("precision", {"torch": T4, "broken": {"fp32 on cuda": "no kernel image"}}, "error",
     "A training step on cuda fails: no kernel image", CPU),
    ("precision", {"torch": {"mps": True}}, "ok", "A training step works on mps in fp32, bf16, fp16", ""),
    ("precision", {"torch": {"xpu": True}}, "ok", "A training step works on xpu in fp32, bf16, fp16", ""),
    ("attention", {}, "ok", "Attention works on cpu", ""),
    ("attention", {"broken": {"attention on cpu": "no kernel"}}, "error", "Attention on cpu fails: no kernel", CPU),
    ("attention", {"torch": T4}, "ok", "Flash attention works", ""),
    ("attention", {"torch": T4, "broken": {"flash attention on cuda": "No available kernel"}}, "note",
     "Flash attention does not work on this GPU (No available kernel)", "capability 8.0"),
    ("quantisation", {}, "ok", "bitsandbytes 0.49 computes with 4 bits on cpu", ""),
    ("quantisation", {"versions": {"bitsandbytes": None}}, "note", "bitsandbytes is not installed",
     "pip install 'vtune-tts[qlora]'"),
    ("quantisation", {"torch": T4, "broken": {"bitsandbytes on cuda": "the process ended with code -11: "}}, "warning",
     "does not work on cuda: the process ended with code -11", "pip install --upgrade bitsandbytes"),
    ("ffmpeg", {}, "ok", "FFmpeg's codecs work (PyAV 16.0): mp3, opus, flac", ""),
    ("ffmpeg", {"broken": {"encode opus": "EncoderNotFoundError"}}, "warning",
     "opus cannot be written: EncoderNotFoundError", "pip install --force-reinstall av"),
    ("disk", {}, "ok", "100.0 GB free in the current folder, which writes 900 MB a second", ""),
    ("disk", {"room": Space(100, None, "PermissionError: denied")}, "error",
     "Nothing can be written in the current folder: PermissionError", "cd FOLDER"),
    ("disk", {"room": Space(10**8, None)}, "error", "There are 0.1 GB free in the cache of the Hub",
     "Free some space, or: export HF_HOME=FOLDER"),
    ("disk", {"room": Space(5 * 10**9, 900e6)}, "warning", "enough for small engines", "Free some space"),
    ("disk", {"room": Space(10**11, 4e6)}, "warning", "The current folder writes 4 MB a second", "on a local disk"),
    ("memory", {}, "ok", "12.0 of 16.0 GiB of memory are free", ""),
    ("memory", {"ram": (2.0 * GIB, 1.0 * GIB)}, "error", "the quickstart needs 4", "8 GiB or more"),
    ("memory", {"ram": (16.0 * GIB, 1.0 * GIB)}, "warning", "1.0 of 16.0 GiB", "Close other programs"),
    ("memory", {"ram": (6.0 * GIB, 5.0 * GIB)}, "warning", "little for a run", "vtune plan RECIPE"),
    ("memory", {"torch": T4}, "ok", "15.0 of 15.0 GiB of the GPU's memory are free", ""),
    ("memory", {"torch": {**T4, "gpu_free": 2 * GIB}}, "warning", "another program uses the GPU", "nvidia-smi"),
    ("hub", {}, "ok", "The Hub answers, and somebody is logged in", ""),
    ("hub", {"environ": {"HF_HUB_OFFLINE": "1"}}, "note", "HF_HUB_OFFLINE is set", "unset HF_HUB_OFFLINE"),
    ("hub", {"answer": Answer(0, problem="ConnectError: no")}, "warning", "does not answer (ConnectError: no)",
     "HTTPS_PROXY"),
    ("hub", {"token": "", "answer": Answer(401)}, "note", "nobody is logged in", "hf auth login"),
    ("hub", {"answer": Answer(401)}, "warning", "refuses the token", "hf auth login --force"),
    ("hub", {"answer": Answer(503)}, "warning", "the error 503", "Try again later"),
    ("weights", {}, "ok", "Whisper's weights are there: tiny.en", ""),
    ("weights", {}, "ok", "Resemblyzer is there", ""),
    ("weights", {"files": ()}, "note", "No weights of Whisper are there", WORDS),
    ("weights", {"broken": {"import whisper": "ImportError: numba"}}, "warning", "Whisper cannot be imported: Import",
     "pip install --force-reinstall openai-whisper"),
    ("weights", {"versions": {"resemblyzer": None}}, "note", "Resemblyzer is not installed", "vtune-tts[similarity]"),
    ("weights", {"broken": {"import resemblyzer": "No module named 'pkg_resources'"}}, "warning", "pkg_resources",
     "'setuptools<81'"),
    ("extras", {}, "ok", "These extras are installed: qlora, serve", ""),
    ("extras", {"versions": {"uvicorn": None}}, "note", "The extra 'serve' is not complete: uvicorn",
     "pip install 'vtune-tts[serve]'"),
    ("extras", {"versions": {"fastapi": "0.1"}}, "note", "The extra 'serve' is not complete: fastapi",
     "pip install 'vtune-tts[serve]'"),
]  # fmt: skip


@pytest.mark.parametrize(("check", "changes", "status", "seen", "fix"), CASES, ids=[case[3][:50] for case in CASES])
def test_each_message_is_provoked(check: str, changes: dict[str, Any], status: str, seen: str, fix: str) -> None:
    findings = list(check_machine(FakeMachine(**changes), only=[check]))

    told = [finding for finding in findings if seen in finding.seen]
    assert told, findings
    assert (told[0].check, told[0].status) == (check, status)
    assert fix in told[0].fix
    assert bool(told[0].fix) == bool(fix)
    assert told[0].status in ("ok", "note") or told[0].fix, "a fault without the line that mends it"


def test_no_message_is_left_out() -> None:
    """Each call that makes a finding is reached by a case."""
    folder = Path(next(iter(checks_package.__path__)))
    for path in sorted(folder.glob("[a-z]*.py")):
        calls = [
            node.lineno
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"ok", "note", "warning", "error"}
        ]
        seen = {lineno for lineno in calls if (path.name, lineno) in _reached()}
        assert seen == set(calls), f"{path.name}: no test provokes the findings of the lines {set(calls) - seen}"


_lines: set[tuple[str, int]] = set()


def _reached() -> set[tuple[str, int]]:
    """Run all cases, and return file and line of each call that made a finding."""
    if _lines:
        return _lines
    import vtune.machine.finding as finding_module

    code = {getattr(finding_module, name).__code__ for name in ("ok", "note", "warning", "error")}
    import sys

    def trace(frame: Any, event: str, _: Any) -> None:
        if event == "call" and frame.f_code in code and frame.f_back is not None:
            _lines.add((Path(frame.f_back.f_code.co_filename).name, _start(frame.f_back)))

    before = sys.getprofile()
    sys.setprofile(trace)
    try:
        for check, changes, *_ in CASES:
            list(check_machine(FakeMachine(**changes), only=[check]))
    finally:
        sys.setprofile(before)
    return _lines


def _start(frame: Any) -> int:
    """Return the line on which the call begins that a frame is executing."""
    positions = list(frame.f_code.co_positions())[frame.f_lasti // 2]
    return int(positions[0] or frame.f_lineno)


def test_a_machine_in_order_has_no_faults() -> None:
    findings = list(check_machine(FakeMachine()))

    assert {finding.check for finding in findings} == set(check_names())
    assert not [finding for finding in findings if finding.status in ("warning", "error")]


def test_offline_nobody_is_asked() -> None:
    machine = FakeMachine()
    findings = list(check_machine(machine, offline=True))

    assert machine.asked == []
    assert "hub" not in {finding.check for finding in findings}


def test_the_token_is_sent_to_the_hub_alone_and_never_told() -> None:
    machine = FakeMachine(environ={"HF_ENDPOINT": "https://hub.example/"})
    findings = list(check_machine(machine))

    assert machine.asked == [("https://hub.example/api/whoami-v2", "hf_secret123")]
    assert "hf_secret123" not in repr(findings)


def test_a_check_that_fails_is_a_finding_and_the_others_go_on() -> None:
    class Broken(FakeMachine):
        def memory(self) -> tuple[float, float]:
            raise RuntimeError("no /proc here")

    findings = list(check_machine(Broken()))

    (problem,) = (finding for finding in findings if finding.status == "warning")
    assert (problem.check, problem.seen) == ("memory", "The check itself failed: RuntimeError: no /proc here.")
    assert {finding.check for finding in findings} == set(check_names())


def test_a_machine_that_is_too_busy_to_try_is_no_fault_of_a_library() -> None:
    class Busy(FakeMachine):
        def tried(self, *names: str) -> Any:
            if "import peft" in names:
                raise TooBusy("import peft")
            return super().tried(*names)

    findings = list(check_machine(Busy(versions={"transformers": "5.1.0"}), only=["versions"]))

    assert [finding.status for finding in findings] == ["error", "warning"]
    assert findings[1].seen == "This machine is too busy: 'import peft' had not ended after 300 s."
    assert findings[1].fix == "End other programs, and run vtune check again."


def test_an_unknown_check_is_told_the_nearest() -> None:
    with pytest.raises(VtuneError, match="there is no check 'dsk'; did you mean 'disk'"):
        list(check_machine(FakeMachine(), only=["dsk"]))


def test_every_finding_is_a_sentence() -> None:
    for check, changes, *_ in CASES:
        for finding in check_machine(FakeMachine(**changes), only=[check]):
            assert finding.seen.endswith("."), finding
            assert "\n" not in finding.seen + finding.fix


def test_a_finding_is_plain_data() -> None:
    assert set(inspect.signature(Finding).parameters) == Finding("ok", "Fine.").settings().keys()
    assert CPU_TORCH["gpus"] == 0
