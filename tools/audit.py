"""Ask an advisory database whether what vtune requires has known vulnerabilities; part of ``tox -e lint``.

    python tools/audit.py

It resolves the requirements of pyproject.toml and of its extras to versions, as pip would install them today, and lets
pip-audit ask about each. Exit code 1: a vulnerability is known. Where nobody can be asked, it says so: code 0.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import tomllib
import urllib.request
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SERVICE = "https://api.osv.dev/v1/query"
CONNECT_SECONDS = 10
NOT_RESOLVED = ("similarity",)
"""Extras with a package that pip must compile before it can say what it requires."""


def main() -> int:
    """Audit, or say why not."""
    service = os.environ.get("VTUNE_ADVISORIES", SERVICE)
    reason = unreachable(service)
    if reason is not None:
        print(f"audit: skipped, nothing was checked: the advisory database {service} cannot be reached ({reason})")
        return 0
    return audit(service, requirements(ROOT / "pyproject.toml"))


def unreachable(service: str) -> str | None:
    """Say why the database does not answer a question; None where it does."""
    question = b'{"package": {"name": "pip", "ecosystem": "PyPI"}, "version": "26.0"}'
    request = urllib.request.Request(service, question, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=CONNECT_SECONDS):
            return None
    except OSError as error:  # urllib's own errors are kinds of it
        return " ".join(str(error).split())[:100]


def requirements(pyproject: Path) -> list[str]:
    """Read what vtune requires, with its extras."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    return [*project["dependencies"], *(line for name in extras if name not in NOT_RESOLVED for line in extras[name])]


def audit(service: str, required: Sequence[str], *options: str) -> int:
    """Let pip-audit ask about each requirement and all that it requires; returns its exit code.

    :param options: further ones of pip-audit.
    """
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "requirements.txt"
        constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8")
        pinned = [line for line in constraints.splitlines() if line and not line.startswith("#")]
        listed.write_text("\n".join([*required, *pinned]) + "\n", encoding="utf-8")
        ask = ["-m", "pip_audit", "--vulnerability-service", "osv", "--osv-url", service, "--progress-spinner", "off"]
        return subprocess.run([sys.executable, *ask, "--requirement", str(listed), *options], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
