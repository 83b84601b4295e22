"""Match a stranger's regular expressions to names of modules, in a separate process that ends in time.

Python's ``re`` backtracks, so a few characters can make it run for years or fill the memory, and nothing in the same
process can stop it. Nobody can see from the look of an expression whether it does so.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

from vtune.errors import TrainingError, shown

MAX_PATTERN_CHARACTERS = 1_000
MAX_PATTERNS = 10_000
MAX_MATCHING_SECONDS = 20
"""Time for all patterns together; a healthy pattern takes a thousandth of a second, starting Python a twentieth."""

_WORKER = """
import json, re, signal, sys
seconds, patterns, names, form = json.load(sys.stdin)
if hasattr(signal, "alarm"):
    signal.alarm(seconds)
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
matches = {}
for pattern in patterns:
    try:
        re.compile(pattern)
        compiled = re.compile(form % pattern)
    except (re.error, OverflowError, RecursionError) as error:
        print(json.dumps({"pattern": pattern, "error": str(error)}))
        sys.exit()
    matches[pattern] = [name for name in names if compiled.fullmatch(name)]
print(json.dumps({"matches": matches}))
"""


def match_patterns(
    patterns: Sequence[str], names: Sequence[str], key: str = "lora.targets", form: str = "%s"
) -> dict[str, list[str]]:
    """Return the whole names that each regular expression matches.

    ``match_patterns([r"h\\.\\d+\\.mlp"], ["h.0.mlp", "h.0.attn"])`` is ``{r"h\\.\\d+\\.mlp": ["h.0.mlp"]}``.

    :param key: of the recipe, for the errors.
    :param form: the expression that is matched, with ``%s`` in the place of the pattern.
    :raises TrainingError: a pattern is no regular expression or too long, or the matching does not end in time.
    """
    if not patterns:
        return {}
    long = next((pattern for pattern in patterns if len(pattern) > MAX_PATTERN_CHARACTERS), None)
    if long is not None:
        raise TrainingError(f"{key}: {shown(long)} has {len(long):,} characters, at most {MAX_PATTERN_CHARACTERS:,}")
    if len(patterns) > MAX_PATTERNS:
        raise TrainingError(f"{key}: {len(patterns):,} patterns, at most {MAX_PATTERNS:,}")
    try:
        worker = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _WORKER],
            input=json.dumps([MAX_MATCHING_SECONDS, patterns, names, form]),
            capture_output=True,
            text=True,
            timeout=2 * MAX_MATCHING_SECONDS,
        )
        answer = json.loads(worker.stdout)
    except (subprocess.TimeoutExpired, json.JSONDecodeError) as error:
        which = shown(patterns[0]) if len(patterns) == 1 else f"one of {shown(list(patterns))}"
        raise TrainingError(
            f"{key}: {which} cannot be matched to the names of the network within {MAX_MATCHING_SECONDS} s and "
            "1 GiB of memory; write a simpler regular expression, or ends of names"
        ) from error
    if "error" in answer:
        raise TrainingError(f"{key}: {shown(answer['pattern'])} is not a regular expression: {answer['error']}")
    matches: dict[str, list[str]] = answer["matches"]
    return matches
