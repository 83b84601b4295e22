"""What makes the sound of a server: takes a voice, words and sampling, gives sound as it is ready."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from vtune.errors import VtuneError
from vtune.serve.registry import RequestedVoice
from vtune.types import Audio


@dataclass(frozen=True, slots=True)
class SynthesisRequest:
    """What one request wants spoken.

    :param text: may be empty where a voice is only to be loaded.
    :param sampling: engine options for this once, checked by ``vtune.voices.speech.checked_sampling``.
    """

    voice: RequestedVoice
    text: str
    seed: int
    sampling: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BackendLoad:
    """How busy a back end is: requests that wait and that are spoken, bases and voices in memory."""

    waiting: int = 0
    speaking: int = 0
    bases: int = 0
    voices: int = 0


class Backend(Protocol):
    """A way to speak. All methods are called on one event loop."""

    def speak(self, request: SynthesisRequest) -> AsyncGenerator[Audio, None]:
        """Yield sound at the engine's rate as it is ready, as ``vtune.contract.hookspecs.synthesize`` does.

        Closed early, it stops speaking as soon as it can.

        :raises BusyError: before the first sound; try again later.
        :raises StoppingError: before the first sound; the server is being stopped.
        :raises UpstreamError: a server that this back end needs does not answer as it should.
        :raises VoiceBrokenError: the voice cannot be loaded.
        :raises VtuneError: the engine cannot speak this text; the message is for the client.
        """
        ...

    def prepare(self, voice: RequestedVoice) -> None:
        """Begin to load a voice, because somebody will soon ask for it; what goes wrong is for the log."""
        ...

    def load(self) -> BackendLoad:
        """Say how busy it is."""
        ...

    def missing(self) -> list[str]:
        """Return what is missing before it can speak, a sentence each; empty when it is ready."""
        ...

    def failure(self) -> VtuneError | None:
        """Return why it will never speak again, if that is so: the server then ends with this error."""
        ...

    def drain(self) -> None:
        """Refuse the requests that wait, because the server is being stopped; those that are spoken go on."""
        ...

    def kill(self) -> None:
        """End the processes that it started, at once; the server's own process ends directly after."""
        ...

    def close(self) -> None:
        """Let go of everything; nothing is asked of it any more."""
        ...
