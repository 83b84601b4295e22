"""Errors for which clients get different responses."""

from __future__ import annotations

from vtune.errors import VoiceError, VtuneError, shown


class UnknownVoiceError(VoiceError):
    """No voice, alias or mix has the requested name."""


class VoiceBrokenError(VtuneError):
    """A voice cannot speak: its files are damaged, or its base cannot be loaded. The message is for the log only."""


class VoiceReplacedError(VoiceBrokenError):
    """The files of a voice were replaced each time that they were read; the next request may find them whole."""

    def __init__(self, name: str) -> None:
        super().__init__(f"voice {shown(name)} is being replaced; try again in a while")


class UpstreamError(VtuneError):
    """The server behind this one does not answer as it should. The message is for the log, not for clients.

    :param status: HTTP status for the client.
    :param client_message: the message for the client.
    :param retry_after: seconds after which the client may try again; None if trying again does not help.
    """

    def __init__(self, message: str, status: int, client_message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status, self.client_message, self.retry_after = status, client_message, retry_after

    @property
    def code(self) -> str:
        """A short name of the error, for programs."""
        return {400: "refused_upstream", 503: "unavailable"}.get(self.status, "bad_gateway")


class UpstreamAwayError(UpstreamError):
    """The server behind this one does not answer, or not yet."""

    def __init__(self, message: str, retry_after: int = 10) -> None:
        client_message = "the server behind this one does not answer; try again in a while"
        super().__init__(message, 503, client_message, retry_after)


class StoppingError(VtuneError):
    """The server is being stopped: the request was not answered, or its response was cut."""

    def __init__(self) -> None:
        super().__init__("this server is being stopped; try again in a while")


class BusyError(VtuneError):
    """Too many requests are waiting; ``retry_after`` is an estimate in seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"too many requests are waiting; try again in {retry_after} s")
        self.retry_after = retry_after
