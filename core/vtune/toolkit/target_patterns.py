"""Match regular expressions of a stranger to names of modules: in a process of its own, which ends in time.

Python's ``re`` backtracks, so a few characters can make it run for years or fill the memory, and nothing in the same
process can stop it. Which expressions do so cannot be seen from how they look.
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
"""For all patterns together; a healthy one takes a thousandth of a second, starting Python a twentieth."""

_WORKER = """
import json, re, signal, sys
seconds, patterns, names = json.load(sys.stdin)
if hasattr(signal, "alarm"):
    signal.alarm(seconds)
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
found = {}
for pattern in patterns:
    try:
        compiled = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        print(json.dumps({"pattern": pattern, "error": str(error)}))
        sys.exit()
    found[pattern] = [name for name in names if compiled.fullmatch(name)]
print(json.dumps(found))
"""


def match_patterns(patterns: Sequence[str], names: Sequence[str]) -> dict[str, list[str]]:
    """Return the whole names that each regular expression matches.

    ``match_patterns([r"h\\.\\d+\\.mlp"], ["h.0.mlp", "h.0.attn"])`` is ``{r"h\\.\\d+\\.mlp": ["h.0.mlp"]}``.

    :raises TrainingError: one of them is no regular expression or too long, or matching them does not end in time.
    """
    if not patterns:
        return {}
    long = next((pattern for pattern in patterns if len(pattern) > MAX_PATTERN_CHARACTERS), None)
    if long is not None:
        raise TrainingError(
            f"lora.targets: {shown(long)} has {len(long):,} characters, at most {MAX_PATTERN_CHARACTERS:,}"
        )
    if len(patterns) > MAX_PATTERNS:
        raise TrainingError(f"lora.targets: {len(patterns):,} patterns, at most {MAX_PATTERNS:,}")
    told = json.dumps([MAX_MATCHING_SECONDS, patterns, names])
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _WORKER],
            input=told,
            capture_output=True,
            text=True,
            timeout=2 * MAX_MATCHING_SECONDS,
        )
        found: dict[str, list[str]] = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, json.JSONDecodeError) as error:
        listed = shown(patterns[0]) if len(patterns) == 1 else f"one of {shown(list(patterns))}"
        raise TrainingError(
            f"lora.targets: {listed} cannot be matched to the names of the network within {MAX_MATCHING_SECONDS} s and "
            "1 GiB of memory; write a simpler regular expression, or ends of names"
        ) from error
    if "error" in found:
        raise TrainingError(f"lora.targets: {shown(found['pattern'])} is no regular expression: {found['error']}")
    return found
