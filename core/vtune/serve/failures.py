"""Why a voice does not speak, as far as clients are told apart by it."""

from __future__ import annotations

from vtune.errors import VoiceError, VtuneError


class UnknownVoiceError(VoiceError):
    """No voice, alias or mix of voices has this name."""


class BrokenError(VtuneError):
    """A voice that is there but cannot speak: damaged, or its base is not to be had. For the log, not for clients."""


class UpstreamError(VtuneError):
    """A server that this one needs does not answer as it should. The message is for the log, not for clients.

    :param status: HTTP status for the client.
    :param told: what the client is told.
    :param retry_after: seconds after which the client may try again; None if trying again does not help.
    """

    def __init__(self, message: str, status: int, told: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status, self.told, self.retry_after = status, told, retry_after

    @property
    def code(self) -> str:
        """A word for programs."""
        return {400: "refused_upstream", 503: "unavailable"}.get(self.status, "bad_gateway")


class AwayError(UpstreamError):
    """A server that this one needs is not there, or not yet."""

    def __init__(self, message: str, retry_after: int = 10) -> None:
        told = "the server behind this one does not answer; try again in a while"
        super().__init__(message, 503, told, retry_after)


class StoppingError(VtuneError):
    """The server is being stopped: the request was not answered, or its answer was cut."""

    def __init__(self) -> None:
        super().__init__("this server is being stopped; try again in a while")


class BusyError(VtuneError):
    """Too many requests are waiting; ``retry_after`` is a guess in seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"too many requests are waiting; try again in {retry_after} s")
        self.retry_after = retry_after
