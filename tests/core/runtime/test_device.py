from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
import torch

from vtune.errors import TrainingError
from vtune.ingest.transcribe import backends
from vtune.runtime import device as device_module
from vtune.runtime.device import (
    has_own_memory,
    is_device_name,
    missing_operation,
    pick_device,
    pick_precision,
    preserved_device_rng,
    weights_dtype,
)

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("able", "precision"),
    [({"avx512_bf16": True}, "bf16"), ({"amx_bf16": True}, "bf16"), ({"avx512_f": True, "avx512_bf16": False}, "fp32")],
)
def test_a_cpu_trains_in_bf16_where_it_has_instructions_for_it(
    monkeypatch: pytest.MonkeyPatch, able: dict[str, Any], precision: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)
    assert pick_precision("auto", CPU) == precision
    assert weights_dtype("auto", CPU, "lora") == torch.float32


def test_an_older_torch_knows_nothing_of_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert pick_precision("auto", CPU) == "fp32"


def test_what_was_asked_for_is_done() -> None:
    assert pick_precision("fp32", CPU) == "fp32"
    assert weights_dtype("bf16", CPU, "lora") == torch.bfloat16
    assert weights_dtype("bf16", CPU, "full") == torch.float32
    with pytest.raises(TrainingError, match="use 'fp32' or 'bf16'"):
        pick_precision("fp16", CPU)


@pytest.mark.parametrize(("major", "precision"), [(7, "fp16"), (8, "bf16"), (9, "bf16")])
def test_a_gpu_that_only_emulates_bf16_trains_in_fp16(
    monkeypatch: pytest.MonkeyPatch, major: int, precision: str
) -> None:
    """A T4 (compute capability 7.5) creates bf16 tensors, and torch says that it supports bf16."""
    properties = type("Properties", (), {"major": major})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    monkeypatch.setattr(torch.cuda, "_check_bf16_tensor_supported", lambda device: True)
    assert torch.cuda.is_bf16_supported()
    assert pick_precision("auto", torch.device("cuda", 0)) == precision
    assert weights_dtype("auto", torch.device("cuda", 0), "lora") == getattr(
        torch, {"fp16": "float16", "bf16": "bfloat16"}[precision]
    )


class FakeGpus:
    """What torch offers for a kind of GPU."""

    def __init__(self, count: int) -> None:
        self.count, self.current, self.state = count, 0, 7

    def set_device(self, index: int) -> None:
        self.current = index

    def get_rng_state(self) -> int:
        return self.state

    def get_rng_state_all(self) -> list[int]:
        return [self.state] * self.count

    def set_rng_state(self, state: int) -> None:
        self.state = state

    def set_rng_state_all(self, states: list[int]) -> None:
        self.state = states[0]


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> FakeGpus:
    """Let this machine have GPUs of some kinds: a number by kind."""
    counts: dict[str, int] = request.param
    fake = FakeGpus(max(counts.values(), default=0))
    monkeypatch.setattr(device_module, "device_kinds", lambda: counts)
    monkeypatch.setattr(torch, "get_device_module", lambda kind: fake)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    return fake


def having(**counts: int) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("gpus", [counts], indirect=True, ids=["-".join(counts) or "cpu"])


@pytest.mark.parametrize(
    ("gpus", "device"),
    [
        ({}, "cpu"),
        ({"cuda": 2}, "cuda:0"),
        ({"xpu": 1}, "xpu:0"),
        ({"mps": 1}, "mps"),
        ({"cuda": 1, "xpu": 1}, "cuda:0"),
    ],
    indirect=["gpus"],
)
def test_auto_takes_the_best_device_that_is_there(gpus: FakeGpus, device: str) -> None:
    assert pick_device("auto") == torch.device(device)
    assert pick_device("cpu") == torch.device("cpu")


@having(cuda=3)
def test_a_gpu_that_is_named_by_its_number_is_the_one_of_all_libraries(gpus: FakeGpus) -> None:
    assert pick_device("cuda:2") == torch.device("cuda", 2)
    assert gpus.current == 2


@having(cuda=4)
def test_each_process_of_a_launch_has_a_gpu_of_its_own(gpus: FakeGpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert pick_device("cuda") == torch.device("cuda", 3)


@pytest.mark.parametrize(
    ("gpus", "name", "message"),
    [
        ({}, "cuda", "the device is 'cuda', but torch finds no NVIDIA or AMD GPU; use cpu, or run 'vtune check'"),
        ({"cuda": 2}, "mps", "torch finds no GPU of a Mac; use cuda:0, cuda:1 or cpu"),
        ({"mps": 1}, "xpu:0", "torch finds no Intel GPU; use mps or cpu"),
        ({"cuda": 2}, "cuda:2", "there is no GPU of that number; use cuda:0, cuda:1 or cpu"),
    ],
    indirect=["gpus"],
)
def test_a_device_that_is_not_there_is_refused_with_those_that_are(gpus: FakeGpus, name: str, message: str) -> None:
    with pytest.raises(TrainingError) as error:
        pick_device(name)
    assert message in str(error.value)


def test_names_of_devices() -> None:
    good = ("auto", "cpu", "cuda", "cuda:0", "cuda:12", "mps", "xpu", "xpu:1")
    bad = ("gpu", "CUDA", "cuda:", "cuda:-1", "cpu:0", "mps:1", "cuda:1 ", "", "npu", "cuda:1000")
    assert [name for name in good if not is_device_name(name)] == []
    assert [name for name in bad if is_device_name(name)] == []


def test_a_mac_trains_in_float32_and_an_intel_gpu_in_what_it_multiplies(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pick_precision("auto", torch.device("mps")) == "fp32"
    for able, precision in ((True, "bf16"), (False, "fp16")):
        monkeypatch.setattr(torch.xpu, "is_bf16_supported", lambda able=able: able, raising=False)
        assert pick_precision("auto", torch.device("xpu")) == precision


def test_the_gpu_of_a_mac_has_no_memory_of_its_own() -> None:
    own = {kind: has_own_memory(torch.device(kind)) for kind in ("cpu", "cuda", "mps", "xpu")}
    assert own == {"cpu": False, "cuda": True, "mps": False, "xpu": True}


@pytest.mark.parametrize("gpus", [{"cuda": 2}, {"xpu": 1}, {"mps": 1}, {}], indirect=True)
def test_random_states_of_gpus_are_put_back(gpus: FakeGpus) -> None:
    with preserved_device_rng():
        if gpus.count:
            gpus.state = 8
    assert gpus.state == 7


@pytest.mark.parametrize(
    "text",
    [
        "The operator 'aten::_fft_r2c' is not currently implemented for the MPS device.",
        "Could not run 'aten::_fft_r2c' with arguments from the 'MPS' backend. This could be because the operator",
        "aten::_fft_r2c is not implemented for the 'MPS' device",
    ],
)
def test_an_operation_that_a_device_lacks_is_one_line(text: str) -> None:
    assert missing_operation(NotImplementedError(text)) == (
        "torch cannot compute aten::_fft_r2c on mps; use --device cpu or train.device=cpu, or another version of torch"
    )


def test_other_errors_are_not_about_an_operation() -> None:
    for error in (NotImplementedError("streams"), RuntimeError("aten::x for the MPS device"), NotImplementedError("")):
        assert missing_operation(error) is None
    on_meta = "Could not run 'aten::equal' with arguments from the 'Meta' backend."
    assert missing_operation(NotImplementedError(on_meta)) is None


@having(mps=1)
def test_the_recogniser_runs_on_the_processor_of_a_mac_and_says_so_once(
    gpus: FakeGpus, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    backends._say_once.cache_clear()
    for _ in range(2):
        assert backends._recogniser_device("auto") == torch.device("cpu")
    assert [record.getMessage() for record in caplog.records] == [
        "The recogniser runs on the processor: torch lacks some of its operations on mps"
    ]


@pytest.mark.parametrize(("platform", "chosen", "expected"), [
    ("darwin", None, "1"), ("darwin", "0", "0"), ("linux", None, "None"), ("win32", None, "None"),
])  # fmt: skip
def test_on_a_mac_the_processor_computes_what_the_gpu_lacks(platform: str, chosen: str | None, expected: str) -> None:
    name = "PYTORCH_ENABLE_MPS_FALLBACK"
    code = f"import sys; sys.platform = {platform!r}\nimport vtune, os\nprint(os.environ.get({name!r}))"
    environment = {key: value for key, value in os.environ.items() if key != name}
    if chosen is not None:
        environment[name] = chosen
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected
