"""Check the requirements of vtune for known vulnerabilities in an advisory database; part of ``tox -e lint``.

    python tools/audit.py

The script resolves the requirements of pyproject.toml and of its extras to the versions that pip would install today,
and lets pip-audit check each version. Exit code 1: a vulnerability is known. If the database cannot be reached, the
script says so and exits with 0.
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
ADVISORY_URL = "https://api.osv.dev/v1/query"
CONNECT_SECONDS = 10
UNRESOLVED_EXTRAS = ("similarity",)
"""Extras with a package that pip must compile before it knows the requirements of the package."""


def main() -> int:
    """Run the audit, or say why it is skipped; return the exit code."""
    service = os.environ.get("VTUNE_ADVISORIES", ADVISORY_URL)
    reason = unreachable_message(service)
    if reason is not None:
        print(f"audit: skipped, nothing was checked: the advisory database {service} cannot be reached ({reason})")
        return 0
    return audit(service, requirements(ROOT / "pyproject.toml"))


def unreachable_message(service: str) -> str | None:
    """Return the reason why the database does not answer, or None if it answers."""
    question = b'{"package": {"name": "pip", "ecosystem": "PyPI"}, "version": "26.0"}'
    request = urllib.request.Request(service, question, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=CONNECT_SECONDS):
            return None
    except OSError as error:  # the errors of urllib are subclasses of OSError
        return " ".join(str(error).split())[:100]


def requirements(pyproject: Path) -> list[str]:
    """Return the requirements of vtune and of its extras."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    return [
        *project["dependencies"],
        *(line for name in extras if name not in UNRESOLVED_EXTRAS for line in extras[name]),
    ]


def audit(service: str, required: Sequence[str], *options: str) -> int:
    """Let pip-audit check each requirement and its own requirements; return the exit code of pip-audit.

    :param options: further options of pip-audit.
    """
    with tempfile.TemporaryDirectory() as folder:
        requirements_file = Path(folder) / "requirements.txt"
        constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8")
        pinned = [line for line in constraints.splitlines() if line and not line.startswith("#")]
        requirements_file.write_text("\n".join([*required, *pinned]) + "\n", encoding="utf-8")
        command = [
            "-m",
            "pip_audit",
            "--vulnerability-service",
            "osv",
            "--osv-url",
            service,
            "--progress-spinner",
            "off",
        ]
        return subprocess.run(
            [sys.executable, *command, "--requirement", str(requirements_file), *options], check=False
        ).returncode


if __name__ == "__main__":
    sys.exit(main())
