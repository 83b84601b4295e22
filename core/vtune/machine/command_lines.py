"""Write lines for the terminal of a system: sh, or PowerShell on Windows, which sets variables in its own way.

In both, ``#`` begins a comment, and arguments with special characters may stand between double quotes.
"""

from __future__ import annotations

WINDOWS = "Windows"


def set_variable(system: str, name: str, value: str) -> str:
    """Return the line that sets an environment variable.

    :param system: as ``platform.system()`` names it.

    >>> set_variable("Linux", "HF_HOME", "FOLDER"), set_variable("Windows", "HF_HOME", "FOLDER")
    ('export HF_HOME=FOLDER', '$env:HF_HOME = "FOLDER"')
    """
    return f'$env:{name} = "{value}"' if system == WINDOWS else f"export {name}={value}"


def unset_variable(system: str, name: str) -> str:
    """Return the line that takes an environment variable away.

    >>> unset_variable("Darwin", "HF_HUB_OFFLINE"), unset_variable("Windows", "HF_HUB_OFFLINE")
    ('unset HF_HUB_OFFLINE', 'Remove-Item Env:HF_HUB_OFFLINE')
    """
    return f"Remove-Item Env:{name}" if system == WINDOWS else f"unset {name}"


def install(*requirements: str, options: str = "") -> str:
    """Return the line that installs requirements, with quotes where a shell needs them.

    >>> install("transformers>=5.20"), install("peft", options="--upgrade")
    ('pip install "transformers>=5.20"', 'pip install --upgrade peft')
    """
    quoted = [text if text.replace("-", "").replace("_", "").isalnum() else f'"{text}"' for text in requirements]
    return " ".join(["pip install", *([options] if options else []), *quoted])
