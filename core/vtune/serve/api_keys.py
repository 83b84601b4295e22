"""API keys, which a server needs that other machines can reach."""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from vtune.errors import VtuneError
from vtune.runtime.untrusted import FileRefused, read_text, why

API_KEYS_VARIABLE = "VTUNE_API_KEYS"
MIN_KEY_CHARACTERS = 16
"""Characters that a key needs; a shorter key can be guessed."""


class ApiKeys:
    """The API keys of a server, kept as hashes of one length, so that the time of a comparison tells nothing.

    :raises VtuneError: a key is too short.
    """

    def __init__(self, keys: Iterable[str] = ()) -> None:
        every = list(keys)
        short = sum(len(key) < MIN_KEY_CHARACTERS for key in every)
        if short:
            raise VtuneError(
                f"{short} of {len(every)} API keys have fewer than {MIN_KEY_CHARACTERS} characters; "
                "python -c 'import secrets; print(secrets.token_urlsafe(32))' makes a good one"
            )
        self._hashes = [sha256(key.encode()).digest() for key in every]

    def __bool__(self) -> bool:
        return bool(self._hashes)

    def holder(self, authorization: str) -> str | None:
        """Return eight characters of the hash of the key in an ``Authorization`` header; None for an unknown key."""
        scheme, _, token = authorization.partition(" ")
        given = sha256(token.strip().encode(errors="replace")).digest()
        # Every key is compared, so that the time does not tell which key matches.
        matching = [key for key in self._hashes if hmac.compare_digest(key, given)]
        return matching[0].hex()[:8] if matching and scheme.lower() == "bearer" else None


def read_keys(path: Path | None) -> ApiKeys:
    """Read API keys from a file, one a line, ``#`` for comments, and from ``VTUNE_API_KEYS``, separated by commas.

    :raises VtuneError: the file cannot be read or holds none, or a key is too short.
    """
    keys = [key.strip() for key in os.environ.get(API_KEYS_VARIABLE, "").split(",") if key.strip()]
    if path is not None:
        try:
            lines = read_text(path).splitlines()
        except (OSError, FileRefused) as error:
            raise VtuneError(f"{path} cannot be read as a file of API keys: {why(error)}") from error
        listed = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        if not listed:
            raise VtuneError(f"{path} holds no API key; write one key on each line")
        keys += listed
    return ApiKeys(keys)
