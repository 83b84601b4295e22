"""Why a voice does not speak, as far as clients are told apart by it."""

from __future__ import annotations

from vtune.errors import VoiceError, VtuneError


class UnknownVoiceError(VoiceError):
    """No voice, alias or mix of voices has this name."""


class BrokenError(VtuneError):
    """A voice that is there but cannot speak: damaged, or its base is not to be had. For the log, not for clients."""


class AwayError(VtuneError):
    """A server that this one needs does not answer. For the log, not for clients."""


class BusyError(VtuneError):
    """Too many requests are waiting; ``retry_after`` is a guess in seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"too many requests are waiting; try again in {retry_after} s")
        self.retry_after = retry_after
