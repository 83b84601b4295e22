"""``vtune check``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vtune_cli.output import echo, echo_text

if TYPE_CHECKING:
    from vtune.machine import Finding


@click.command()
@click.option("--only", "names", multiple=True, metavar="CHECK", help="Run this check alone. May be repeated.")
@click.option("--list", "only_list", is_flag=True, help="List the checks, and run none.")
@click.option("--offline", is_flag=True, help="Leave out what needs a network.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON for each finding.")
@click.option(
    "--bundle",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.zip",
    help="Write a file for a bug report: findings and versions, without names, folders, addresses and tokens.",
)
@click.option("--strict", is_flag=True, help="Exit with code 1 after warnings too, not only after errors.")
@click.pass_context
def check(
    context: click.Context,
    names: tuple[str, ...],
    only_list: bool,
    offline: bool,
    as_json: bool,
    bundle: Path | None,
    strict: bool,
) -> None:
    """Check this machine: Python, torch, GPU, disk, memory, Hub; each fault with the line that mends it.

    Nothing is installed and nothing is changed. What works is tried on a tiny step. The exit code is 1 if something
    keeps vtune from working. For recordings, use `vtune doctor`.
    """
    from vtune.machine import ThisMachine, check_machine, check_names, write_bundle

    if only_list:
        for name, question in check_names().items():
            echo(f"{name:14} {question}")
        return
    machine = ThisMachine(at_once=not names)
    findings = []
    for finding in check_machine(machine, only=names, offline=offline):
        findings.append(finding)
        if as_json:
            echo_text(json.dumps(finding.settings()))
        else:
            for line in _lines(finding):
                echo(line)
    if bundle is not None:
        write_bundle(bundle, findings, machine)
        echo(f"{bundle}: read it before you send it; it has no names, folders, addresses or tokens", err=as_json)
    counts = {status: sum(finding.status == status for finding in findings) for status in ("error", "warning")}
    if not as_json:
        echo(_summary(counts))
    if counts["error"] or (strict and counts["warning"]):
        context.exit(1)


def _lines(finding: Finding) -> list[str]:
    first = f"{finding.status:8} {finding.check:14} {finding.seen}"
    return [first, *([f"{'':23} -> {finding.fix}"] if finding.fix else [])]


def _summary(counts: dict[str, int]) -> str:
    if counts["error"] == 1:
        return "An error keeps something from working; the line after -> mends it."
    if counts["error"]:
        return f"{counts['error']} errors keep something from working; the lines after -> mend them."
    if counts["warning"]:
        return f"vtune works here, with {counts['warning']} warning{'s' if counts['warning'] > 1 else ''}."
    return "vtune works here."
