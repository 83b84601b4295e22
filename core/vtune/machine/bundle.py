"""Write a file for a bug report: what the checks found, the versions, and nothing that is private."""

from __future__ import annotations

import getpass
import json
import platform
import re
import zipfile
from collections.abc import Sequence
from importlib.metadata import distributions
from pathlib import Path

from vtune.machine.finding import Finding
from vtune.machine.this_machine import Machine
from vtune.runtime.paths import new_file
from vtune.runtime.version import VTUNE_VERSION

TOLD_VARIABLES = (
    "CUDA_VISIBLE_DEVICES", "HF_HUB_OFFLINE", "OMP_NUM_THREADS", "PYTORCH_CUDA_ALLOC_CONF",
    "PYTORCH_ENABLE_MPS_FALLBACK", "VTUNE_BLOCK_PLUGINS", "WORLD_SIZE",
)  # fmt: skip
"""Environment variables whose values are told; of every other variable not even the name is."""

_SECRETS = re.compile(
    r"\b(hf_|sk-|ghp_|github_pat_)[A-Za-z0-9_-]{6,}|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)|[\w.+-]+@[\w-]+\.\w[\w.]*"
)
_PATHS = re.compile(r"(?<![\w/:])(?:[A-Za-z]:\\|\\\\|/)(?:[^\s'\":;,()<>]+[\\/])+")


def write_bundle(path: Path, findings: Sequence[Finding], machine: Machine) -> None:
    """Write a zip file with ``findings.json``, ``versions.txt`` and ``system.json``.

    Names of users, machines and folders, addresses and tokens are left out of every text.

    :raises DiskError: the file cannot be written.
    """
    installed = {(entry.metadata["Name"] or "").lower(): entry.version for entry in distributions()}
    system = {
        "vtune": VTUNE_VERSION,
        "python": ".".join(map(str, machine.python)),
        "system": f"{machine.system} {platform.release()} {platform.machine()}",
        "variables": {name: machine.environ[name] for name in TOLD_VARIABLES if name in machine.environ},
    }
    files = {
        "findings.json": json.dumps([finding.settings() for finding in findings], indent=2),
        "versions.txt": "\n".join(f"{name} {version}" for name, version in sorted(installed.items())),
        "system.json": json.dumps(system, indent=2),
    }
    names = _private_names()
    with new_file(path) as aside, zipfile.ZipFile(aside, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, text in files.items():
            bundle.writestr(name, without_private_data(text, names) + "\n")


def without_private_data(text: str, names: Sequence[str] = ()) -> str:
    """Replace tokens, addresses, folders and names in a text.

    >>> without_private_data("no /home/jane/voices/jane.json on ada, hf_abcdefgh", ["ada"])
    'no FOLDER/jane.json on NAME, SECRET'
    """
    text = _PATHS.sub("FOLDER/", _SECRETS.sub("SECRET", text))
    for name in names:
        text = re.sub(rf"(?<![\w]){re.escape(name)}(?![\w])", "NAME", text, flags=re.IGNORECASE)
    return text


def _private_names() -> list[str]:
    """Return the names of the user and of the machine, if they are long enough to be names."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):  # a user without a name
        user = ""
    own = [user, platform.node(), platform.node().partition(".")[0], Path.home().name]
    return [name for name in own if len(name) > 2 and name not in ("root", "localhost")]
