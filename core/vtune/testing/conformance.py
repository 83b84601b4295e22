"""Check every promise of the contract between vtune and an engine: in one call, or as one test for each rule."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtune.testing.checkup import Outcome, check_rules
from vtune.testing.rule import Rule, all_rules, rules_named
from vtune.testing.second_process import start_second_process
from vtune.testing.subject import Subject
from vtune.types import Clip

if TYPE_CHECKING:
    import pytest


def check_engine(
    name: str,
    options: Mapping[str, Any] | None = None,
    folder: Path | None = None,
    clips: Sequence[Clip] | None = None,
    seed: int = 0,
    option_changes: Mapping[str, Any] | None = None,
) -> None:
    """Put an engine through every rule of the contract, with a small base on the CPU.

    :param options: of the engine: a tiny checkpoint, small budgets.
    :param folder: an empty folder to write into; default: a temporary one.
    :param clips: three or more clips of unequal length; default: rising tones with made-up words.
    :param option_changes: another valid value by option, for options of texts and folders.
    :raises AssertionError: rules are broken; one paragraph for each.
    """
    with _folder(folder) as path:
        subject = Subject(name, options or {}, path, clips, seed, option_changes)
        outcomes = list(_outcomes(subject, all_rules()))
    failed = [outcome for outcome in outcomes if outcome.status == "fail"]
    if failed:
        unchecked = sum(outcome.status == "not checked" for outcome in outcomes)
        rest = f"\n\n{unchecked} further rules could not be checked." if unchecked else ""
        raise AssertionError(
            f"engine {name!r} breaks {len(failed)} of {len(outcomes)} rules:\n\n"
            + "\n\n".join(outcome.paragraph for outcome in failed)
            + rest
        )


def engine_outcomes(
    name: str,
    options: Mapping[str, Any] | None = None,
    *,
    rules: Sequence[str] = (),
    time_limit: float | None = None,
    clips: Sequence[Clip] | None = None,
    option_changes: Mapping[str, Any] | None = None,
) -> Iterator[Outcome]:
    """Yield the result of each rule as it is known.

    :param rules: names of the rules to check, with those that must hold before them; default: all.
    :param time_limit: seconds for each rule; those that train, or wait for a second process, have longer limits of
        their own.
    :raises EngineError: there is no rule of that name.
    """
    chosen = rules_named(tuple(rules))
    with _folder(None) as path:
        subject = Subject(name, options or {}, path, clips, changes=option_changes)
        yield from _outcomes(subject, chosen, time_limit)


def conformance_tests(
    name: str,
    options: Mapping[str, Any] | str | None = None,
    *,
    clips: Sequence[Clip] | None = None,
    option_changes: Mapping[str, Any] | None = None,
) -> Callable[..., None]:
    """Return a pytest test with one item for each rule; assign it to a name that begins with ``test_``.

    :param options: of the engine, or the name of a pytest fixture that returns them.
    :param clips: as for ``check_engine``, and so is ``option_changes``.

    Example::

        test_contract = vtune.testing.conformance_tests("my_engine", {"base_model": "tiny_base"})
    """
    import pytest

    results: dict[str, Outcome] = {}
    running: list[Iterator[Outcome]] = []

    def check(rule: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> None:
        if not running:
            values = request.getfixturevalue(options) if isinstance(options, str) else options
            folder = tmp_path_factory.mktemp("conformance")
            subject = Subject(name, values or {}, folder, clips, changes=option_changes)
            running.append(_outcomes(subject, all_rules()))
        while rule not in results:  # the rules before it are checked first, each once
            outcome = next(running[0])
            results[outcome.rule] = outcome
        outcome = results[rule]
        if outcome.status == "fail":
            pytest.fail(outcome.paragraph, pytrace=False)
        elif outcome.status != "pass":
            pytest.skip(f"{outcome.status}: {outcome.remark}")

    test: Callable[..., None] = pytest.mark.parametrize("rule", list(all_rules()))(check)
    return test


def _outcomes(subject: Subject, rules: Mapping[str, Rule], time_limit: float | None = None) -> Iterator[Outcome]:
    if any(name.endswith("in-two-processes") for name in rules):
        start_second_process()
    return check_rules(subject, rules, time_limit)


@contextmanager
def _folder(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="vtune-check-", ignore_cleanup_errors=True) as temporary:
        yield Path(temporary)
