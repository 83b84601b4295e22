"""torch: whether it was built for this GPU and its driver."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from vtune.machine.finding import Finding, MachineCheck, error, note, ok, warning
from vtune.machine.this_machine import Machine
from vtune.machine.tries import Tried

GPU_INDEX = "https://download.pytorch.org/whl/cu126"
"""PyTorch's own index of builds for CUDA 12.6, which all drivers since 525 and all GPUs since Maxwell can run."""

REINSTALL = f"pip install --force-reinstall torch --index-url {GPU_INDEX}"


def run(machine: Machine) -> Iterator[Finding]:
    """Import torch, and compare its build with the driver and the GPU."""
    torch = machine.tried("torch")["torch"]
    if not torch.works:
        yield error(f"torch cannot be imported: {torch.problem}.", "pip install --force-reinstall torch")
        return
    version, driver = torch.fact("version"), machine.output("nvidia-smi")
    if torch.fact("gpus"):
        yield from _of_the_gpu(torch)
    elif driver is None:
        yield from _without_a_driver(machine, torch)
    elif torch.fact("cuda") is None:
        yield error(
            f"There is an NVIDIA GPU, but torch {version} was built without CUDA: everything runs on the processor.",
            REINSTALL,
        )
    else:
        yield _unseen(torch, driver, machine.environ.get("CUDA_VISIBLE_DEVICES"))


def _of_the_gpu(torch: Tried) -> Iterator[Finding]:
    version, name = torch.fact("version"), torch.fact("gpu")
    major, minor = torch.fact("capability", [0, 0])
    built: Sequence[str] = torch.fact("architectures", [])
    if built and torch.fact("hip") is None and not _runs(major, minor, built):
        yield error(
            f"torch {version} has no code for {name} (capability {major}.{minor}), only for {', '.join(built)}.",
            REINSTALL,
        )
        return
    which = f"ROCm {torch.fact('hip')}" if torch.fact("hip") else f"CUDA {torch.fact('cuda')}"
    yield ok(
        f"torch {version} with {which} sees {torch.fact('gpus')} GPU ({name}, compute capability {major}.{minor})."
    )


def _runs(major: int, minor: int, built: Sequence[str]) -> bool:
    """Tell whether a build has code for a GPU: of its own generation, or general code that the driver compiles.

    >>> _runs(8, 9, ["sm_80", "sm_90"]), _runs(6, 1, ["sm_75", "sm_80"]), _runs(12, 0, ["sm_80", "compute_90"])
    (True, False, True)
    """
    for name in built:
        match = re.fullmatch(r"(sm|compute)_(\d+)(\d)a?", name)
        if match is None:
            continue
        at_most = (int(match[2]), int(match[3])) <= (major, minor)
        if at_most and (match[1] == "compute" or int(match[2]) == major):
            return True
    return False


def _without_a_driver(machine: Machine, torch: Tried) -> Iterator[Finding]:
    version = torch.fact("version")
    if torch.fact("mps") or torch.fact("xpu"):
        yield ok(f"torch {version} sees {'the GPU of this Mac (MPS)' if torch.fact('mps') else 'an Intel GPU (XPU)'}.")
    elif torch.fact("cuda") is not None and machine.system == "Linux":
        yield note(
            f"torch {version} was built for CUDA {torch.fact('cuda')}, and there is no NVIDIA driver: everything runs "
            "on the processor.",
            "With an NVIDIA GPU: install its driver, then check with: nvidia-smi",
        )
    elif machine.system == "Darwin" and not torch.fact("mps_built"):
        yield warning(
            f"torch {version} was built without MPS: the GPU of this Mac is not used.",
            "pip install --force-reinstall torch",
        )
    else:
        yield note(f"torch {version} runs on the processor: there is no GPU that it can use.")


def _unseen(torch: Tried, driver: str, visible: str | None) -> Finding:
    """Say why torch does not see the GPU that the driver has."""
    built, version = str(torch.fact("cuda")), torch.fact("version")
    if visible is not None and visible.strip() in ("", "-1", "NoDevFiles"):
        return error(
            f"CUDA_VISIBLE_DEVICES={visible!r} hides every GPU from torch.",
            "unset CUDA_VISIBLE_DEVICES",
        )
    match = re.search(r"CUDA Version:\s*(\d+)\.(\d+)", driver)
    if match and _numbers(built)[:1] > (int(match[1]),):
        return error(
            f"torch {version} was built for CUDA {built}, and the driver knows CUDA {match[1]}.{match[2]} at most: "
            "torch sees no GPU.",
            f"Update the NVIDIA driver, or: {REINSTALL}",
        )
    return error(
        f"nvidia-smi shows a GPU, but torch {version} (CUDA {built}) does not see it.",
        "python -c 'import torch; torch.zeros(1).cuda()'  # prints the reason; a restart helps after a driver update",
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


CHECK = MachineCheck("torch", 20, "Was torch built for this GPU and its driver?", run)
