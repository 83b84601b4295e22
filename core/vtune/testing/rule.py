"""A rule of the conformance kit: one promise of the contract, and the function that checks it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vtune.errors import EngineError, choices

if TYPE_CHECKING:
    from vtune.testing.subject import Subject

RULE_SECONDS = 60.0
"""Seconds of one core that a rule may take; with a tiny base the slowest rule takes about 10."""

Check = Callable[["Subject"], str | None]


class BrokenRule(AssertionError):
    """An engine breaks a rule.

    :param seen: what was seen, with the numbers; one or two sentences.
    :param change: what to change in the engine, instead of what the rule itself advises.
    """

    def __init__(self, seen: str, change: str = "") -> None:
        super().__init__(f"{seen} {change}".strip())
        self.seen, self.change = seen, change


class NotApplicable(Exception):
    """A rule has nothing to check in this engine; the text is the reason."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One promise of the contract.

    :param name: in kebab-case, as a user writes it.
    :param promise: one sentence.
    :param why: what a user of the engine loses if the promise is broken.
    :param change: what an author usually has to change.
    :param after: names of the rules without which this rule cannot be checked.
    :param check: raises ``BrokenRule``; may return a remark on an engine that keeps the promise.
    """

    name: str
    promise: str
    why: str
    change: str
    after: tuple[str, ...]
    seconds: float
    check: Check


_RULES: dict[str, Rule] = {}


def rule(
    why: str, change: str, after: tuple[Callable[..., object], ...] = (), seconds: float = RULE_SECONDS
) -> Callable[[Check], Check]:
    """Register a function as a rule: its name becomes the rule's, its docstring the promise.

    :param after: functions of the rules that must hold for this one to be checked.
    """

    def register(check: Check) -> Check:
        name = rule_name(check)
        if name in _RULES:
            raise ValueError(f"there are two rules {name!r}")
        promise = (check.__doc__ or "").strip()
        _RULES[name] = Rule(name, promise, why, change, tuple(map(rule_name, after)), seconds, check)
        return check

    return register


def rule_name(check: Callable[..., object]) -> str:
    """Return the name of the rule that a function checks."""
    return check.__name__.replace("_", "-")


def all_rules() -> dict[str, Rule]:
    """Return every rule by its name; causes stand before what follows from them."""
    from vtune.testing.rules import GROUPS  # whose import registers them

    modules = [group.__name__ for group in GROUPS]
    return dict(sorted(_RULES.items(), key=lambda entry: modules.index(entry[1].check.__module__)))


def rules_named(names: tuple[str, ...]) -> dict[str, Rule]:
    """Return the rules of these names with those that must hold before them; all rules for no names.

    :raises EngineError: there is no such rule.
    """
    rules = all_rules()
    if not names:
        return rules
    for name in names:
        if name not in rules:
            raise EngineError(f"there is no rule {name!r}{choices(name, rules, 'rules')}")
    needed = set(names)
    for name in reversed(rules):
        if name in needed:
            needed.update(rules[name].after)
    return {name: entry for name, entry in rules.items() if name in needed}


def require(condition: object, seen: str, change: str = "") -> None:
    """Check a condition. :raises BrokenRule: the condition does not hold."""
    if not condition:
        raise BrokenRule(seen, change)
