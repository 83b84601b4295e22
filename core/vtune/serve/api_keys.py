"""API keys: who may ask a server that other machines can reach."""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from vtune.errors import VtuneError
from vtune.runtime.untrusted import FileRefused, read_text, why

VARIABLE = "VTUNE_API_KEYS"
SHORTEST = 16
"""Characters of a key; a shorter one can be guessed."""


class Keys:
    """The keys that a server knows; kept as hashes of one length, so that comparing tells nothing of them.

    :raises VtuneError: one is too short.
    """

    def __init__(self, keys: Iterable[str] = ()) -> None:
        given = list(keys)
        short = sum(len(key) < SHORTEST for key in given)
        if short:
            raise VtuneError(
                f"{short} of {len(given)} API keys have less than {SHORTEST} characters; "
                "python -c 'import secrets; print(secrets.token_urlsafe(32))' makes a good one"
            )
        self._hashes = [sha256(key.encode()).digest() for key in given]

    def __bool__(self) -> bool:
        return bool(self._hashes)

    def holder(self, authorization: str) -> str | None:
        """Return who sends an ``Authorization`` header: eight characters of the key's hash; None for a stranger."""
        scheme, _, token = authorization.partition(" ")
        given = sha256(token.strip().encode(errors="replace")).digest()
        # Every key is compared, whichever fits.
        fitting = [key for key in self._hashes if hmac.compare_digest(key, given)]
        return fitting[0].hex()[:8] if fitting and scheme.lower() == "bearer" else None


def read_keys(path: Path | None) -> Keys:
    """Read keys from a file, one a line, ``#`` for comments, and from ``VTUNE_API_KEYS``, with commas between.

    :raises VtuneError: the file cannot be read or holds none, or a key is too short.
    """
    keys = [key.strip() for key in os.environ.get(VARIABLE, "").split(",") if key.strip()]
    if path is not None:
        try:
            lines = read_text(path).splitlines()
        except (OSError, FileRefused) as error:
            raise VtuneError(f"{path}: cannot be read as a file of API keys: {why(error)}") from error
        listed = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        if not listed:
            raise VtuneError(f"{path} holds no API key; write one a line")
        keys += listed
    return Keys(keys)
