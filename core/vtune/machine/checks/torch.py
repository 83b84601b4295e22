"""torch: whether it was built for this GPU and its driver."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from vtune.machine.command_lines import unset_variable
from vtune.machine.finding import Finding, MachineCheck, error, note, ok, warning
from vtune.machine.this_machine import Machine
from vtune.machine.tries import Tried

VISIBLE = "CUDA_VISIBLE_DEVICES"

LEGACY_CAPABILITY = (7, 5)
"""GPUs before Turing are in PyTorch's builds for CUDA 12.6 and older alone, and Blackwell in none of these."""


def reinstall(driver_cuda: int, capability: tuple[int, int] | None) -> str:
    """Return the line that installs a torch for a GPU and its driver.

    :param driver_cuda: the newest major version of CUDA that the driver knows.
    :param capability: of the GPU; None if it is not known, which means Turing or newer.

    >>> reinstall(12, (6, 1))
    'pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cu126'
    """
    if driver_cuda < 12:
        build = "cu118"
    elif capability is not None and capability < LEGACY_CAPABILITY:
        build = "cu126"
    else:
        build = "cu128" if driver_cuda == 12 else "cu130"
    return f"pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/{build}"


def run(machine: Machine) -> Iterator[Finding]:
    """Import torch, and compare its build with the driver and the GPU."""
    torch = machine.tried("torch")["torch"]
    if not torch.works:
        yield error(f"torch cannot be imported: {torch.problem}.", "pip install --force-reinstall torch")
        return
    version, driver = torch.fact("version"), machine.output("nvidia-smi")
    if torch.fact("gpus"):
        yield from _of_the_gpu(machine, torch)
    elif driver is None:
        yield from _without_a_driver(machine, torch)
    elif torch.fact("cuda") is None:
        yield error(
            f"There is an NVIDIA GPU, but torch {version} was built without CUDA: everything runs on the processor.",
            _line_for(machine),
        )
    else:
        yield _unseen(machine, torch)


def _line_for(machine: Machine) -> str:
    """Return the line that installs a torch for the GPU and the driver of this machine."""
    cuda = _driver_cuda(machine) or (12, 0)
    capabilities = machine.output("nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader") or ""
    match = re.match(r"\s*(\d+)\.(\d+)\s*$", capabilities.partition("\n")[0])
    return reinstall(cuda[0], (int(match[1]), int(match[2])) if match else None)


def _driver_cuda(machine: Machine) -> tuple[int, int] | None:
    match = re.search(r"CUDA Version:\s*(\d+)\.(\d+)", machine.output("nvidia-smi") or "")
    return (int(match[1]), int(match[2])) if match else None


def _of_the_gpu(machine: Machine, torch: Tried) -> Iterator[Finding]:
    version, name = torch.fact("version"), torch.fact("gpu")
    major, minor = torch.fact("capability", [0, 0])
    built: Sequence[str] = torch.fact("architectures", [])
    if built and torch.fact("hip") is None and not _runs(major, minor, built):
        yield error(
            f"torch {version} has no code for {name} (capability {major}.{minor}), only for {', '.join(built)}.",
            reinstall((_driver_cuda(machine) or (12, 0))[0], (major, minor)),
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
            "nvidia-smi  # with an NVIDIA GPU: install its driver until this command shows it",
        )
    elif machine.system == "Darwin" and not torch.fact("mps_built"):
        yield warning(
            f"torch {version} was built without MPS: the GPU of this Mac is not used.",
            "pip install --force-reinstall torch",
        )
    else:
        yield note(f"torch {version} runs on the processor: there is no GPU that it can use.")


def _unseen(machine: Machine, torch: Tried) -> Finding:
    """Say why torch does not see the GPU that the driver has."""
    built, version, visible = str(torch.fact("cuda")), torch.fact("version"), machine.environ.get(VISIBLE)
    if visible is not None and visible.strip() in ("", "-1", "NoDevFiles"):
        return error(f"{VISIBLE}={visible!r} hides every GPU from torch.", unset_variable(machine.system, VISIBLE))
    driver = _driver_cuda(machine)
    if driver and _numbers(built)[:1] > driver[:1]:
        return error(
            f"torch {version} was built for CUDA {built}, and the driver knows CUDA {driver[0]}.{driver[1]} at most: "
            "torch sees no GPU.",
            f"{_line_for(machine)}  # or update the NVIDIA driver",
        )
    return error(
        f"nvidia-smi shows a GPU, but torch {version} (CUDA {built}) does not see it.",
        'python -c "import torch; torch.zeros(1).cuda()"  # prints the reason; a restart helps after a driver update',
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


CHECK = MachineCheck("torch", 20, "Was torch built for this GPU and its driver?", run)
