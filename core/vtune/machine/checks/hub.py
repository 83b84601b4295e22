"""The Hub: whether it answers, and whether somebody is logged in."""

from __future__ import annotations

from collections.abc import Iterator

from vtune.machine.command_lines import set_variable, unset_variable
from vtune.machine.finding import Finding, MachineCheck, note, ok, warning
from vtune.machine.this_machine import Machine


def run(machine: Machine) -> Iterator[Finding]:
    """Ask the Hub who is logged in."""
    if machine.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        yield note(
            "HF_HUB_OFFLINE is set: models come from the cache alone.",
            f"{unset_variable(machine.system, 'HF_HUB_OFFLINE')}  # to download a model",
        )
        return
    address = machine.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    token = machine.hub_token()
    answer = machine.get(f"{address}/api/whoami-v2", token)
    if answer.status == 0:
        yield warning(
            f"The Hub at {address} does not answer ({answer.problem}): only bases in the cache can be loaded.",
            f"{set_variable(machine.system, 'HTTPS_PROXY', 'http://HOST:PORT')}  # behind a proxy; without a network, "
            "copy the models into the cache",
        )
    elif not token:
        yield note(
            "The Hub answers, and nobody is logged in: models with a licence to accept, such as Orpheus, are refused.",
            "hf auth login",
        )
    elif answer.status == 200:
        yield ok("The Hub answers, and somebody is logged in.")
    elif answer.status in (401, 403):
        yield warning(f"The Hub refuses the token that is stored here ({answer.status}).", "hf auth login --force")
    else:
        yield warning(
            f"The Hub answers with the error {answer.status}.",
            "vtune check --only hub  # again, later; https://status.huggingface.co says when it works",
        )


CHECK = MachineCheck("hub", 100, "Does the Hub answer, and is somebody logged in?", run, uses_network=True)
