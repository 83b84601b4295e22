"""What a backend is: it takes a voice, a text and sampling options, and gives sound while it is made."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from vtune.errors import VtuneError
from vtune.serve.registry import RequestedVoice
from vtune.types import Audio


@dataclass(frozen=True, slots=True)
class SynthesisRequest:
    """The speech that one request needs.

    :param text: empty to load the voice only.
    :param sampling: engine options for this request only, checked by ``vtune.voices.speech.checked_sampling``.
    """

    voice: RequestedVoice
    text: str
    seed: int
    sampling: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BackendLoad:
    """How busy a backend is: requests that wait, requests that speak, bases and voices in memory."""

    waiting: int = 0
    speaking: int = 0
    bases: int = 0
    voices: int = 0


class Backend(Protocol):
    """A way to make speech. All methods are called on one event loop."""

    def speak(self, request: SynthesisRequest) -> AsyncGenerator[Audio, None]:
        """Yield sound at the engine's rate while it is made, as ``vtune.contract.hookspecs.synthesize`` does.

        If the generator is closed early, the backend stops speaking as soon as it can.

        :raises BusyError: too many requests wait; raised before the first sound.
        :raises StoppingError: the server is being stopped; raised before the first sound.
        :raises UpstreamError: the server behind this backend does not answer as it should.
        :raises VoiceBrokenError: the voice cannot be loaded.
        :raises VtuneError: the engine cannot speak this text; the message is for the client.
        """
        ...

    def prepare(self, voice: RequestedVoice) -> None:
        """Begin to load a voice before the first request for it; errors are logged."""
        ...

    def load(self) -> BackendLoad:
        """Return how busy the backend is."""
        ...

    def missing(self) -> list[str]:
        """Return what is missing before the backend can speak, a sentence each; empty when it is ready."""
        ...

    def failure(self) -> VtuneError | None:
        """Return the error after which the backend never speaks again, with which the server ends; else None."""
        ...

    def drain(self) -> None:
        """Refuse the requests that wait, because the server is being stopped; requests that speak continue."""
        ...

    def kill(self) -> None:
        """End the processes that the backend started, at once; the server's own process ends directly after."""
        ...

    def close(self) -> None:
        """Free everything; no further method is called."""
        ...
