"""Answer a request for speech: find the voice, wait for the first sound, send the sound while it is made."""

from __future__ import annotations

import asyncio
import secrets
import time
import traceback
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response

from vtune.audio import synthetic_note
from vtune.engines import audio_formats
from vtune.errors import VtuneError, reason
from vtune.serve.access import log_entry_of
from vtune.serve.audio_output import AudioOutput, output_rate
from vtune.serve.backend import Backend, SynthesisRequest
from vtune.serve.failures import BusyError, UnknownVoiceError, VoiceBrokenError, VoiceReplacedError
from vtune.serve.http_errors import HttpError, http_error_of
from vtune.serve.prometheus import ServerMetrics
from vtune.serve.registry import READ_ATTEMPTS, REPLACED_SECONDS, RequestedVoice, VoiceRegistry
from vtune.serve.schemas import SpeechRequest
from vtune.serve.settings import ServeSettings
from vtune.serve.streaming import (
    SSE,
    ClientGoneError,
    IncompleteAudioError,
    StreamedResponse,
    delta,
    done,
    failed,
    unless_gone,
)
from vtune.toolkit.pauses import is_speakable
from vtune.types import Audio, Watermark
from vtune.voices.speech import checked_sampling

CROWDED_RETRY_SECONDS = 5
"""Seconds after which a client may try again when too many responses are being sent."""

SLICE_BYTES = 64 << 10
"""Bytes of a finished file that are sent at once."""

Watermarks = Callable[[str, int], list[Watermark]]


@dataclass(frozen=True, slots=True)
class SpeechResponse:
    """A response that is being sent.

    :param first: the first piece of sound; ``rest`` gives the pieces after it.
    :param log_entry: what the log will have about the request.
    """

    speech_request: SpeechRequest
    synthesis: SynthesisRequest
    first: Audio
    rest: AsyncGenerator[Audio, None]
    log_entry: dict[str, Any]

    @property
    def is_sse(self) -> bool:
        """Whether the response is a stream of server-sent events."""
        return self.speech_request.stream_format == "sse"

    @property
    def label(self) -> str:
        """The name that the metrics have for the voice; all mixes share one name, because there is no end of mixes."""
        return "a mix" if self.synthesis.voice.is_mix else self.synthesis.voice.name


class SpeechEndpoint:
    """Answers ``POST /v1/audio/speech``.

    :param watermarks: makes the watermarks of one response, for a voice's name and a sample rate in Hz.
    :param log_text: log the text of each request.
    """

    def __init__(
        self,
        registry: VoiceRegistry,
        backend: Backend,
        settings: ServeSettings,
        metrics: ServerMetrics,
        watermarks: Watermarks,
        *,
        log_text: bool = False,
    ) -> None:
        self._registry, self._backend, self._settings = registry, backend, settings
        self._metrics, self._watermarks, self._log_text = metrics, watermarks, log_text
        self._answers = 0  # being sent; what their clients have not read yet is in memory

    async def answer(self, speech_request: SpeechRequest, request: Request) -> Response:
        """Wait for the first sound, then return a response that sends it and all that follows.

        :raises HttpError: there is no sound; the message is for the client.
        :raises VtuneError: the same.
        """
        log_entry = log_entry_of(request.scope)
        log_entry |= {"characters": len(speech_request.input), "format": speech_request.response_format}
        log_entry |= {"text": speech_request.input} if self._log_text else {}
        started = time.monotonic()
        if self._answers >= self._settings.answers:
            raise BusyError(CROWDED_RETRY_SECONDS)
        try:
            synthesis, pieces, first = await self._begin(speech_request, request)
        except ClientGoneError:
            log_entry["ended"] = "left"
            return Response(status_code=499)
        if first is None:
            raise HttpError(400, "input: the text has nothing to speak", param="input")
        log_entry["first_sound"] = time.monotonic() - started
        self._metrics.first_sound(log_entry["first_sound"])
        answer = SpeechResponse(speech_request, synthesis, first, pieces, log_entry)
        media_type = SSE if answer.is_sse else audio_formats()[speech_request.response_format].media_type
        if not speech_request.is_whole:
            return StreamedResponse(self._chunks(answer), media_type, _headers(answer), self._settings.stalled)
        try:
            file = await unless_gone(_joined(self._chunks(answer)), request.receive)
        except ClientGoneError:
            return Response(status_code=499)
        except IncompleteAudioError as error:
            raise error.__cause__ or error from None
        headers = _headers(answer) | {"Content-Length": str(len(file))}
        return StreamedResponse(self._slices(file), media_type, headers, self._settings.stalled)

    async def _slices(self, file: bytes) -> AsyncGenerator[bytes, None]:
        """Yield a finished file in slices; it counts as a response as long as its client reads it."""
        self._answers += 1
        try:
            for start in range(0, len(file), SLICE_BYTES):
                yield file[start : start + SLICE_BYTES]
        finally:
            self._answers -= 1

    async def _begin(
        self, speech_request: SpeechRequest, request: Request
    ) -> tuple[SynthesisRequest, AsyncGenerator[Audio, None], Audio | None]:
        """Find the voice and wait for its first sound; try again if the voice is missing or was replaced meanwhile.

        :raises VoiceReplacedError: the voice was replaced each time.
        """
        log_entry = log_entry_of(request.scope)
        for attempt in range(1, READ_ATTEMPTS + 1):
            synthesis = None
            try:
                synthesis = await to_thread.run_sync(self._synthesis_request, speech_request)
                log_entry |= {"voice": synthesis.voice.name, "seed": synthesis.seed}
                pieces = self._backend.speak(synthesis)
                return synthesis, pieces, await unless_gone(anext(pieces, None), request.receive)
            except (UnknownVoiceError, VoiceBrokenError) as error:
                outdated = synthesis is not None and not await to_thread.run_sync(_is_current, synthesis.voice)
                again = outdated or isinstance(error, UnknownVoiceError | VoiceReplacedError)
                if attempt < READ_ATTEMPTS and again:
                    await asyncio.sleep(REPLACED_SECONDS)
                elif synthesis is not None and outdated:
                    raise VoiceReplacedError(synthesis.voice.name) from error
                else:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _synthesis_request(self, speech_request: SpeechRequest) -> SynthesisRequest:
        max_characters, characters = self._settings.max_characters, len(speech_request.input)
        if characters > max_characters:
            raise HttpError(400, f"input: {characters} characters, {max_characters} at most", param="input")
        if not is_speakable(speech_request.input):
            raise HttpError(
                400, "input: the text has no letter and no digit, so there is nothing to speak", param="input"
            )
        voice = self._registry.find(speech_request.voice_name)
        sampling = checked_sampling(voice.engine, voice.record, speech_request.sampling)
        seed = secrets.randbelow(2**32) if speech_request.seed is None else speech_request.seed
        return SynthesisRequest(voice, speech_request.input, seed, sampling)

    async def _chunks(self, answer: SpeechResponse) -> AsyncGenerator[bytes, None]:
        log_entry = answer.log_entry
        log_entry["ended"] = "left"
        self._answers += 1
        try:
            async with aclosing(self._sound(answer)) as sound:
                async for chunk in sound:
                    yield delta(chunk) if answer.is_sse else chunk
            log_entry["ended"] = "done"
            if answer.is_sse:
                yield done(len(answer.speech_request.input), log_entry["sound"])
        except Exception as error:
            log_entry |= {"ended": "failed", "error": reason(error)}
            if not isinstance(error, VtuneError | HttpError):
                log_entry["trace"] = traceback.format_exc()
            if not answer.is_sse:
                raise IncompleteAudioError from error
            yield failed(http_error_of(error).body())
        finally:
            self._answers -= 1

    async def _sound(self, answer: SpeechResponse) -> AsyncGenerator[bytes, None]:
        speech_request, log_entry, max_seconds = answer.speech_request, answer.log_entry, self._settings.max_seconds
        name = answer.synthesis.voice.name
        marks = self._watermarks(name, output_rate(speech_request.response_format))
        comment = synthetic_note(name)
        output = AudioOutput(
            speech_request.response_format, answer.first.sample_rate, speech_request.speed, marks, comment
        )
        parts: list[bytes] = []  # of a whole file
        self._metrics.spoken[answer.label] += 1
        self._metrics.characters[answer.label] += len(speech_request.input)
        log_entry["sound"] = 0.0
        piece: Audio | None = answer.first
        async with aclosing(answer.rest):
            while piece is not None:
                seconds = len(piece.waveform) / piece.sample_rate
                log_entry["sound"] += seconds
                self._metrics.seconds[answer.label] += seconds
                if piece.ending is not None:
                    self._metrics.endings[piece.ending] += 1
                if log_entry["sound"] > max_seconds:
                    raise HttpError(400, f"the text takes more than {max_seconds:g} s of sound; send less text at once")
                chunk = await to_thread.run_sync(output.add, piece.waveform)
                if speech_request.is_whole:
                    parts.append(chunk)
                elif chunk:
                    yield chunk
                piece = await anext(answer.rest, None)
        rest = await to_thread.run_sync(output.end)
        if file := output.with_length(b"".join([*parts, rest])) if speech_request.is_whole else rest:
            yield file


def _is_current(voice: RequestedVoice) -> bool:
    return voice.is_current


async def _joined(chunks: AsyncGenerator[bytes, None]) -> bytes:
    async with aclosing(chunks):
        return b"".join([chunk async for chunk in chunks])


def _headers(answer: SpeechResponse) -> dict[str, str]:
    synthesis = answer.synthesis
    headers = {
        "X-Vtune-Synthetic": "true",
        "X-Vtune-Voice": quote(synthesis.voice.name, safe="*+ "),
        "X-Vtune-Engine": quote(synthesis.voice.record.engine),
        "X-Vtune-Seed": str(synthesis.seed),
    }
    if answer.speech_request.ignored_fields:
        headers["X-Vtune-Ignored"] = ", ".join(answer.speech_request.ignored_fields)
    return headers
