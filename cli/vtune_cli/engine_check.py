"""``vtune engine check``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from vtune_cli.arguments import engine_options
from vtune_cli.output import echo, echo_text

if TYPE_CHECKING:
    from vtune.testing import Outcome


@click.command()
@click.argument("name")
@click.option(
    "--options", "-o", "options", multiple=True, metavar="OPTION=VALUE",
    help="A value of an engine option: a tiny checkpoint, a small budget. May be repeated.",
)  # fmt: skip
@click.option(
    "--change", "changes", multiple=True, metavar="OPTION=VALUE",
    help="Another valid value of an option whose values cannot be guessed: a folder, a text. May be repeated.",
)  # fmt: skip
@click.option(
    "--rule", "rules", multiple=True, metavar="RULE",
    help="Check this rule, and those that must hold before it. May be repeated.",
)  # fmt: skip
@click.option("--time-limit", type=click.FloatRange(min=1), metavar="SECONDS", help="Seconds that a rule may take.")
@click.option("--list", "is_list", is_flag=True, help="List the rules and their promises, and check nothing.")
@click.option("--json", "is_json", is_flag=True, help="Print one line of JSON for each rule.")
def check(
    name: str,
    options: tuple[str, ...],
    changes: tuple[str, ...],
    rules: tuple[str, ...],
    time_limit: float | None,
    is_list: bool,
    is_json: bool,
) -> None:
    """Check that the engine NAME keeps the contract, one line for each promise.

    NAME is an installed engine, or the path of an engine file, which runs. Give the engine a small base, because the
    rules load it again and again: --options base_model=tiny_base.

    The exit code is 1 if a rule fails.
    """
    from vtune.errors import EngineError
    from vtune.testing.rule import rules_named

    try:
        chosen = rules_named(rules)
    except EngineError as error:
        raise click.UsageError(str(error)) from error
    if is_list:
        for rule in chosen.values():
            echo(f"{rule.name:{_NAME_COLUMNS}} {rule.promise}")
        return
    outcomes = _outcomes(name, engine_options(options), engine_options(changes), rules, time_limit, is_json)
    if not is_json:
        _summarise(name, outcomes)
    if any(outcome.status == "fail" for outcome in outcomes):
        raise SystemExit(1)


_NAME_COLUMNS = 42


def _outcomes(
    name: str,
    options: dict[str, Any],
    changes: dict[str, Any],
    rules: tuple[str, ...],
    time_limit: float | None,
    is_json: bool,
) -> list[Outcome]:
    """Check the rules, and print the result of each as it is known."""
    from transformers.utils import logging as transformers_logging

    from vtune.testing import engine_outcomes

    transformers_logging.disable_progress_bar()
    outcomes = []
    for outcome in engine_outcomes(name, options, rules=rules, time_limit=time_limit, option_changes=changes):
        outcomes.append(outcome)
        echo(json.dumps(outcome.settings(), ensure_ascii=False) if is_json else _line(outcome))
    return outcomes


def _line(outcome: Outcome) -> str:
    remark = f" ({outcome.remark})" if outcome.remark else ""
    return f"{outcome.status:11} {outcome.seconds:6.1f} s  {outcome.rule:{_NAME_COLUMNS}} {outcome.promise}{remark}"


def _summarise(name: str, outcomes: list[Outcome]) -> None:
    """Print a paragraph for each failure, and how many rules hold."""
    failed = [outcome for outcome in outcomes if outcome.status == "fail"]
    for outcome in failed:
        echo_text(f"\n{outcome.paragraph}")
    counts = {status: sum(outcome.status == status for outcome in outcomes) for status in _STATUSES}
    seconds = sum(outcome.seconds for outcome in outcomes)
    summary = ", ".join(f"{count} {text}" for status, text in _STATUSES.items() if (count := counts[status]))
    echo_text(f"\nEngine {name}: {summary}; {seconds:.0f} s")


_STATUSES = {
    "pass": "rules hold",
    "fail": "fail",
    "not checked": "could not be checked",
    "skipped": "do not apply",
}
"""Status to words, in the order of a summary."""
