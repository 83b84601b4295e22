"""Number formats: a tiny training step in each."""

from __future__ import annotations

from collections.abc import Iterator

from vtune.machine.finding import Finding, MachineCheck, error, note, ok
from vtune.machine.this_machine import Machine

KINDS = {"cpu": ("fp32", "bf16"), "cuda": ("fp32", "bf16", "fp16"), "mps": ("fp32", "bf16", "fp16"),
         "xpu": ("fp32", "bf16", "fp16")}  # fmt: skip


def devices(machine: Machine) -> list[str]:
    """Return the kinds of devices that torch can use here, the processor last."""
    torch = machine.tried("torch")["torch"]
    there = {"cuda": torch.fact("gpus"), "mps": torch.fact("mps"), "xpu": torch.fact("xpu"), "cpu": torch.works}
    return [device for device, is_there in there.items() if is_there]


def run(machine: Machine) -> Iterator[Finding]:
    """Train a tiny layer for a step in each number format of each device."""
    torch = machine.tried("torch")["torch"]
    for device in devices(machine):
        names = {kind: f"{kind} on {device}" for kind in KINDS[device]}
        tried = machine.tried(*names.values())
        works = [kind for kind, name in names.items() if tried[name].works]
        for kind, name in names.items():
            if kind == "fp32" and not tried[name].works:
                yield error(
                    f"A training step on {device} fails: {tried[name].problem}.",
                    "vtune run RECIPE --device cpu  # until the driver and torch fit this device",
                )
            elif not tried[name].works:
                yield note(f"{kind} does not work on {device}: {tried[name].problem}.", _instead(works))
        if works:
            yield ok(f"A training step works on {device} in {', '.join(works)}.")
        if device == "cuda" and torch.fact("bf16") is False and "fp16" in works:
            yield note(
                f"{torch.fact('gpu')} does not multiply in bf16; `precision: auto` trains in fp16 with scaled losses."
            )


def _instead(works: list[str]) -> str:
    return f"Write train.precision={works[-1]} if `auto` does not choose it." if works else ""


CHECK = MachineCheck("precision", 40, "In which number formats does a training step work?", run)
