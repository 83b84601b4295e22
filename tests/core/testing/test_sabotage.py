"""Engines that are broken on purpose: each fails in exactly its rule, whose text names the cause."""

from __future__ import annotations

from pathlib import Path

import pytest
from sabotage import SABOTAGES, Sabotage

from vtune.testing import Outcome, engine_outcomes
from vtune.testing.rule import all_rules

ENDLESS_SECONDS = {"speech that hangs": 2.0}

EVERY = pytest.mark.parametrize("sabotage", SABOTAGES, ids=lambda sabotage: sabotage.name.replace(" ", "-"))


def outcomes(sabotage: Sabotage, folder: Path, rules: list[str]) -> dict[str, Outcome]:
    path = folder / "broken_engine.py"
    path.write_text(sabotage.engine, encoding="utf-8")
    limit = ENDLESS_SECONDS.get(sabotage.name)
    return {outcome.rule: outcome for outcome in engine_outcomes(str(path), rules=rules, time_limit=limit)}


def check_only_its_rule_fails(sabotage: Sabotage, found: dict[str, Outcome]) -> None:
    failed = {name: outcome.paragraph for name, outcome in found.items() if outcome.status == "fail"}
    assert set(failed) == {sabotage.rule}, failed
    assert sabotage.says in failed[sabotage.rule]
    assert found[sabotage.rule].why
    assert found[sabotage.rule].change


@EVERY
def test_a_broken_engine_fails_in_its_rule_and_in_none_before_it(sabotage: Sabotage, tmp_path: Path) -> None:
    check_only_its_rule_fails(sabotage, outcomes(sabotage, tmp_path, [sabotage.rule]))


@pytest.mark.proof
@EVERY
def test_a_broken_engine_fails_in_its_rule_and_in_no_other(sabotage: Sabotage, tmp_path: Path) -> None:
    check_only_its_rule_fails(sabotage, outcomes(sabotage, tmp_path, []))


def test_there_are_many_and_every_rule_has_one() -> None:
    assert len(SABOTAGES) >= 180
    assert len({sabotage.name for sabotage in SABOTAGES}) == len(SABOTAGES)
    assert {sabotage.rule for sabotage in SABOTAGES} == all_rules().keys()
