"""Check an engine rule by rule: each under a time limit, each with its own cause."""

from __future__ import annotations

import re
import time
import traceback
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from vtune.errors import SkipClip, VtuneError, in_a_line, reason
from vtune.testing.rule import RULE_SECONDS, BrokenRule, NotApplicable, Rule
from vtune.testing.subject import Subject
from vtune.testing.time_limit import TimeLimitReached, call_within
from vtune.testing.watch import NetworkRefused, process_state, refused_network, restore_process

Status = Literal["pass", "fail", "skipped", "not checked"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a rule found.

    :param seen: of a failure, what was seen; ``why`` and ``change`` say why it matters and what to change.
    :param remark: why a rule was skipped or not checked, or a remark on an engine that keeps the promise.
    """

    rule: str
    promise: str
    status: Status
    seconds: float
    seen: str = ""
    why: str = ""
    change: str = ""
    remark: str = ""

    @property
    def paragraph(self) -> str:
        """What was seen, why it matters, and what to change."""
        return f"{self.rule}: {self.seen}\n  Why it matters: {self.why}\n  What to change: {self.change}"

    def settings(self) -> dict[str, Any]:
        """The result as plain data."""
        return asdict(self)


def check_rules(subject: Subject, rules: Mapping[str, Rule], time_limit: float | None = None) -> Iterator[Outcome]:
    """Check an engine against rules, in their order; yield each result as it is known.

    :param rules: with those that must hold before them.
    :param time_limit: seconds for each rule instead of ``RULE_SECONDS``; rules that need longer keep their own limit.
    """
    broken: dict[str, str] = {}  # each rule that is not kept, or not checked, and the rule that is its cause
    for rule in rules.values():
        cause = next((broken[name] for name in rule.after if name in broken), None)
        if cause is not None:
            broken[rule.name] = cause
            yield Outcome(rule.name, rule.promise, "not checked", 0.0, remark=f"{cause} failed")
            continue
        seconds = rule.seconds if time_limit is None or rule.seconds > RULE_SECONDS else min(rule.seconds, time_limit)
        outcome = _checked(subject, rule, seconds, "works-offline" in broken)
        if outcome.status == "fail":
            broken[rule.name] = rule.name
        yield outcome


def _checked(subject: Subject, rule: Rule, seconds: float, offline_failed: bool) -> Outcome:
    """Check one rule."""
    started = time.perf_counter()
    state = process_state()

    def outcome(status: Status, **texts: str) -> Outcome:
        return Outcome(rule.name, rule.promise, status, time.perf_counter() - started, **texts)

    def failed(seen: str, change: str = "") -> Outcome:
        return outcome("fail", seen=seen, why=rule.why, change=change or rule.change)

    try:
        with refused_network(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # those of the engine have a rule of their own
            remark = call_within(seconds, lambda: rule.check(subject))
        return outcome("pass", remark=remark or "")
    except NotApplicable as reason:
        return outcome("skipped", remark=str(reason))
    except BrokenRule as error:
        return failed(error.seen, error.change)
    except TimeLimitReached as error:
        where = _innermost(error.frames, subject)
        return failed(
            f"it had not finished after {seconds:g} s" + (f", and was still at {where}" if where else "") + ".",
            f"Look for a loop without an end{f' at {where}' if where else ''}, or check with a smaller base.",
        )
    except BaseException as error:  # whatever an engine raises is its failure, not the kit's
        if isinstance(error, KeyboardInterrupt):
            raise
        if offline_failed and caused_by(error, NetworkRefused):
            return outcome("not checked", remark="works-offline failed")
        return failed(*_raised(error, subject))
    finally:
        restore_process(state)


def _raised(error: BaseException, subject: Subject) -> tuple[str, str]:
    """Describe what an engine raised, and what to change."""
    if isinstance(error, SkipClip):
        return (
            f"prepare_sample leaves out a clip that the kit made: {in_a_line(error)}.",
            "Let the engine take short clips, or give the kit clips that fit: check_engine(..., clips=[...]).",
        )
    if isinstance(error, VtuneError) and error.__cause__ is None:
        return f"{without_title(error).rstrip('.')}.", ""
    cause = error.__cause__ if isinstance(error, VtuneError) and error.__cause__ else error
    where = _innermost(list(traceback.extract_tb(cause.__traceback__)), subject)
    text = without_title(error) if isinstance(error, VtuneError) else reason(error)
    if where is None:
        return f"{text.rstrip('.')}.", ""
    at = "" if where.partition(",")[0] in text else f" at {where}"
    return f"{text.rstrip('.')}{at}.", f"Mend what raises {type(cause).__name__} at {where}."


def without_title(error: VtuneError) -> str:
    """Return the text of an error without the engine's name and origin at its beginning, which the reader knows."""
    return re.sub(r"^engine '[^']*' \([^)]*\): ", "", str(error))


def _innermost(frames: list[traceback.FrameSummary], subject: Subject) -> str | None:
    """Return file, line and function of the innermost frame in the engine's own files."""
    home = engine_home(subject)
    for frame in reversed(frames):
        path = Path(frame.filename)
        if home is not None and (path == home or home in path.parents):
            return f"{path.name}:{frame.lineno}, in {frame.name}"
    return None


def engine_home(subject: Subject) -> Path | None:
    """Return the folder of the engine's package, or its file."""
    file = vars(subject).get("module") and subject.module.__file__
    if not file:
        return None
    return Path(file).parent if Path(file).name == "__init__.py" else Path(file)


def caused_by(error: BaseException | None, kind: type[BaseException]) -> bool:
    """Tell whether an error, or one that it was raised from, is of a kind."""
    while error is not None:
        if isinstance(error, kind):
            return True
        error = error.__cause__ or error.__context__
    return False
