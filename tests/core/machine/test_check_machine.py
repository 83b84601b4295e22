"""Each message of the checks is provoked, on a machine that has nothing else wrong."""

from __future__ import annotations

import ast
import inspect
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from fake_machine import CPU_TORCH, GIB, T4, FakeMachine

from vtune.errors import VtuneError
from vtune.machine import check_machine, check_names
from vtune.machine import checks as checks_package
from vtune.machine.checks.extras import PURPOSES
from vtune.machine.checks.torch import reinstall
from vtune.machine.disk_speed import Space
from vtune.machine.finding import Finding
from vtune.machine.tries import TooBusy
from vtune.runtime.web_answer import WebAnswer

DRIVER = "| NVIDIA-SMI 525.60   Driver Version: 525.60   CUDA Version: 12.0 |"
CUDA_TORCH = {"version": "2.9.0", "cuda": "12.8"}
ROOT = Path(__file__).resolve().parents[3]
CAPABILITY = "nvidia-smi --query-gpu=compute_cap"
WORDS = """python -c "import whisper; whisper.load_model('tiny.en')\""""
DISTILLMOS = "pip install --no-deps distillmos xls-r-sqa"
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
     "has no code for GTX 1080 (capability 6.1), only for sm_75, sm_80, sm_90", "/whl/cu126"),
    ("torch", {"torch": {**T4, "capability": [12, 0], "gpu": "RTX 5090"}}, "error",
     "has no code for RTX 5090 (capability 12.0)", "/whl/cu128"),
    ("torch", {"commands": {"nvidia-smi": DRIVER}}, "error", "torch 2.9.0+cpu was built without CUDA", "/whl/cu128"),
    ("torch", {"commands": {"nvidia-smi": DRIVER, CAPABILITY: "6.1\n"}}, "error", "torch 2.9.0+cpu was built without",
     "/whl/cu126"),
    ("torch", {"commands": {"nvidia-smi": DRIVER}, "torch": {**CUDA_TORCH, "cuda": "13.0"}}, "error",
     "was built for CUDA 13.0, and the driver knows CUDA 12.0 at most", "/whl/cu128  # or update the NVIDIA driver"),
    ("torch", {"commands": {"nvidia-smi": DRIVER}, "torch": CUDA_TORCH, "environ": {"CUDA_VISIBLE_DEVICES": "-1"}},
     "error", "CUDA_VISIBLE_DEVICES='-1' hides every GPU", "unset CUDA_VISIBLE_DEVICES"),
    ("torch", {"commands": {"nvidia-smi": DRIVER}, "torch": CUDA_TORCH, "environ": {"CUDA_VISIBLE_DEVICES": "-1"},
               "system": "Windows"}, "error", "hides every GPU", "Remove-Item Env:CUDA_VISIBLE_DEVICES"),
    ("torch", {"commands": {"nvidia-smi": DRIVER}, "torch": CUDA_TORCH}, "error",
     "nvidia-smi shows a GPU, but torch 2.9.0 (CUDA 12.8) does not see it", "torch.zeros(1).cuda()"),
    ("torch", {"torch": CUDA_TORCH}, "note", "there is no NVIDIA driver", "nvidia-smi"),
    ("torch", {"torch": {"mps": True, "mps_built": True}, "system": "Darwin"}, "ok", "the GPU of this Mac (MPS)", ""),
    ("torch", {"system": "Darwin"}, "warning", "was built without MPS", "pip install --force-reinstall torch"),
    ("torch", {"torch": {"xpu": True}}, "ok", "sees an Intel GPU (XPU)", ""),
    ("versions", {}, "ok", "All versions go together", ""),
    ("versions", {"versions": {"transformers": "5.1.0"}}, "error",
     "transformers 5.1.0 is installed, and vtune needs >=5.20", 'pip install "transformers>=5.20"'),
    ("versions", {"versions": {"transformers": None}}, "error", "transformers is not installed",
     'pip install "transformers>=5.20"'),
    ("versions", {"versions": {"torchaudio": "2.9.0"}, "broken": {"import torchaudio": "OSError: no library"}}, "error",
     "torchaudio 2.9.0 beside torch 2.9.0+cpu: torchaudio's C++ code does not load", "pip uninstall -y torchaudio"),
    ("versions", {"versions": {"torchaudio": "2.9.0"}}, "ok", "All versions go together", ""),
    ("versions", {"versions": {"torchvision": "0.24"}, "broken": {"import torchvision": "RuntimeError: nms"}}, "error",
     "RuntimeError: nms", "pip uninstall -y torchvision"),
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
     'pip install "vtune-tts[qlora]"'),
    ("quantisation", {"torch": T4, "broken": {"bitsandbytes on cuda": "the process ended with code -11: "}}, "warning",
     "does not work on cuda: the process ended with code -11", "pip install --upgrade bitsandbytes"),
    ("ffmpeg", {}, "ok", "FFmpeg's codecs work (PyAV 16.0): mp3, opus, flac", ""),
    ("ffmpeg", {"broken": {"encode opus": "EncoderNotFoundError"}}, "warning",
     "opus cannot be written: EncoderNotFoundError", "pip install --force-reinstall --no-deps av"),
    ("disk", {}, "ok", "100.0 GB free in the current folder, which writes 900 MB a second", ""),
    ("disk", {"room": Space(100, None, "PermissionError: denied")}, "error",
     "Nothing can be written in the current folder: PermissionError", "cd FOLDER"),
    ("disk", {"room": Space(10**8, None)}, "error", "There are 0.1 GB free in the cache of the Hub",
     "export HF_HOME=FOLDER  # with a FOLDER on a larger disk"),
    ("disk", {"room": Space(10**8, None), "system": "Windows"}, "error", "0.1 GB free in the cache of the Hub",
     '$env:HF_HOME = "FOLDER"'),
    ("disk", {"room": Space(5 * 10**9, 900e6)}, "warning", "enough for small engines", "or free some space"),
    ("disk", {"room": Space(10**11, 4e6)}, "warning", "The current folder writes 4 MB a second", "on a local disk"),
    ("memory", {}, "ok", "12.0 of 16.0 GiB of memory are free", ""),
    ("memory", {"ram": (1.5 * GIB, 1.0 * GIB)}, "error", "the quickstart needs 2", "8 GiB or more"),
    ("memory", {"ram": (16.0 * GIB, 1.0 * GIB)}, "warning", "1.0 of 16.0 GiB", "close other programs"),
    ("memory", {"ram": (6.0 * GIB, 5.0 * GIB)}, "warning", "little for a run", "vtune plan RECIPE"),
    ("memory", {"torch": T4}, "ok", "15.0 of 15.0 GiB of the GPU's memory are free", ""),
    ("memory", {"torch": {**T4, "gpu_free": 2 * GIB}}, "warning", "another program uses the GPU", "nvidia-smi"),
    ("hub", {}, "ok", "The Hub answers, and somebody is logged in", ""),
    ("hub", {"environ": {"HF_HUB_OFFLINE": "1"}}, "note", "HF_HUB_OFFLINE is set", "unset HF_HUB_OFFLINE"),
    ("hub", {"answer": WebAnswer(0, problem="ConnectError: no")}, "warning", "does not answer (ConnectError: no)",
     "export HTTPS_PROXY=http://HOST:PORT"),
    ("hub", {"token": "", "answer": WebAnswer(401)}, "note", "nobody is logged in", "hf auth login"),
    ("hub", {"answer": WebAnswer(401)}, "warning", "refuses the token", "hf auth login --force"),
    ("hub", {"answer": WebAnswer(503)}, "warning", "the error 503", "vtune check --only hub"),
    ("weights", {}, "ok", "Whisper measures words; its weights are here: tiny.en", ""),
    ("weights", {}, "ok", "The speaker encoder measures likeness; it comes with vtune", ""),
    ("weights", {}, "ok", "DistillMOS 0.9.1 measures how natural a voice sounds", ""),
    ("weights", {"whisper": {"there": [], "path": None}}, "note", "No weights of Whisper are on this machine", WORDS),
    ("weights", {"whisper": {"named": "/gone.pt"}}, "warning", "VTUNE_WHISPER names /gone.pt, which is no file",
     "unset VTUNE_WHISPER"),
    ("weights", {"broken": {"recognise": "EOFError: short"}}, "warning",
     "The weights of Whisper in /cache/whisper/tiny.en.pt do not work: EOFError: short", WORDS),
    ("weights", {"broken": {"import whisper": "ImportError: numba"}}, "warning", "Whisper cannot be imported: Import",
     "pip install --upgrade openai-whisper numba"),
    ("weights", {"broken": {"compare speakers": "FileNotFoundError"}}, "warning", "with vtune, does not work: File",
     "pip install --force-reinstall --no-deps vtune-tts"),
    ("weights", {"versions": {"distillmos": None, "xls-r-sqa": None}}, "note",
     "DistillMOS is not complete (distillmos and xls-r-sqa missing)", DISTILLMOS),
    ("weights", {"broken": {"judge naturalness": "ImportError: librosa"}}, "warning",
     "DistillMOS does not work: ImportError: librosa", DISTILLMOS),
    ("extras", {}, "ok", "These extras are installed: qlora, quickstart, serve, similarity", ""),
    ("extras", {"versions": {"uvicorn": None}}, "note",
     "The extra serve (voices over HTTP) is not complete: uvicorn is not installed", 'pip install "vtune-tts[serve]"'),
    ("extras", {"versions": {"librosa": None}}, "note",
     "The extra quickstart (the quickstart with its scores) is not complete: librosa is not installed",
     'pip install "vtune-tts[quickstart]"'),
    ("extras", {"versions": {"fastapi": "0.1"}}, "note",
     "The extra serve (voices over HTTP) is not complete: fastapi is 0.1, and not >=0.115",
     'pip install "vtune-tts[serve]"'),
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


def test_the_line_that_installs_torch_fits_the_driver_and_the_gpu() -> None:
    """PyTorch's table of 2.11: CUDA 12.6 from Maxwell to Hopper, 12.8 and 13.0 from Turing to Blackwell."""
    builds = {
        (11, (8, 6)): "cu118", (12, (5, 2)): "cu126", (12, (7, 0)): "cu126", (12, (7, 5)): "cu128",
        (12, (9, 0)): "cu128", (12, (12, 0)): "cu128", (13, (12, 0)): "cu130",
        (13, (7, 0)): "cu126", (13, None): "cu130",
    }  # fmt: skip
    for (driver, capability), build in builds.items():
        assert reinstall(driver, capability).endswith(f"/whl/{build}"), (driver, capability)


def test_each_extra_says_what_it_is_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert set(PURPOSES) == set(project["optional-dependencies"])


def test_every_line_is_one_of_the_shell_of_its_system() -> None:
    """One kind of quotes everywhere; a variable is set as the system's shell does it."""
    for check, changes, *_ in CASES:
        for system in ("Linux", "Windows"):
            for finding in check_machine(FakeMachine(**{**changes, "system": system}), only=[check]):
                command = finding.fix.partition("  #")[0]
                assert not re.search(r"(pip install|vtune) .*'", command), finding
                assert system != "Windows" or not re.match(r"(export|unset) ", command), finding
