"""From a request to its sound."""

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

from vtune.audio import FORMATS, synthetic_note
from vtune.errors import VtuneError, reason
from vtune.serve.access import told_of
from vtune.serve.audio_output import OUTPUT_SAMPLE_RATE, AudioOutput
from vtune.serve.backend import Backend, Wanted
from vtune.serve.failures import BrokenError, BusyError, UnknownVoiceError
from vtune.serve.http_errors import Refusal, refusal_of
from vtune.serve.prometheus import Metrics
from vtune.serve.registry import Registry
from vtune.serve.schemas import SpeechRequest
from vtune.serve.settings import ServeSettings
from vtune.serve.streaming import SSE, BrokenOffError, GoneError, Streamed, delta, done, failed, unless_gone
from vtune.toolkit.pauses import is_speakable
from vtune.types import Audio, Watermark
from vtune.voices.speech import checked_sampling

CROWDED = 5
"""Seconds to wait where too many answers are on their way."""

SLICE_BYTES = 64 << 10
"""Of a whole file, that are sent at once."""
ATTEMPTS = 3
"""How often a voice is looked for that is missing or cannot be read: it may be replaced at this moment."""
REPLACED_SECONDS = 0.05
"""Seconds until it is looked for again; a voice that is replaced is away for two renames."""

Watermarks = Callable[[str, int], list[Watermark]]


@dataclass(frozen=True, slots=True)
class Answer:
    """One that is on its way: what was asked, who speaks, the first sound, what follows, and a line of the log."""

    asked: SpeechRequest
    wanted: Wanted
    first: Audio
    rest: AsyncGenerator[Audio, None]
    told: dict[str, Any]

    @property
    def is_sse(self) -> bool:
        """Whether it goes out as events."""
        return self.asked.stream_format == "sse"

    @property
    def label(self) -> str:
        """What the metrics call the voice."""
        return "a mix" if self.wanted.voice.is_mix else self.wanted.voice.name  # there is no end of mixes


class Speech:
    """Answers requests to speak.

    :param watermarks: gives those of one answer, for a voice and a rate in Hz.
    :param log_text: tell the log what was spoken.
    """

    def __init__(
        self,
        registry: Registry,
        backend: Backend,
        settings: ServeSettings,
        metrics: Metrics,
        watermarks: Watermarks,
        *,
        log_text: bool = False,
    ) -> None:
        self._registry, self._backend, self._settings = registry, backend, settings
        self._metrics, self._watermarks, self._log_text = metrics, watermarks, log_text
        self._answers = 0  # on their way; what their clients have not taken yet is in memory

    async def answer(self, asked: SpeechRequest, request: Request) -> Response:
        """Wait for the first sound, then send it and all that follows.

        :raises Refusal: there will be no sound, for a reason that the client is told.
        :raises VtuneError: likewise.
        """
        told = told_of(request.scope)
        told |= {"characters": len(asked.input), "format": asked.response_format}
        told |= {"text": asked.input} if self._log_text else {}
        started = time.monotonic()
        if self._answers >= self._settings.answers:
            raise BusyError(CROWDED)
        try:
            wanted, pieces, first = await self._begin(asked, request)
        except GoneError:
            told["ended"] = "left"
            return Response(status_code=499)
        if first is None:
            raise Refusal(400, "input: there is nothing in it to speak", param="input")
        told["first_sound"] = time.monotonic() - started
        self._metrics.first_sound(told["first_sound"])
        answer = Answer(asked, wanted, first, pieces, told)
        media_type = SSE if answer.is_sse else FORMATS[asked.response_format].media_type
        if not asked.is_whole:
            return Streamed(self._chunks(answer), media_type, _headers(answer), self._settings.stalled)
        try:
            file = await unless_gone(_joined(self._chunks(answer)), request.receive)
        except GoneError:
            return Response(status_code=499)
        except BrokenOffError as error:
            raise error.__cause__ or error from None
        headers = _headers(answer) | {"Content-Length": str(len(file))}
        return Streamed(self._slices(file), media_type, headers, self._settings.stalled)

    async def _slices(self, file: bytes) -> AsyncGenerator[bytes, None]:
        """Yield a whole file; it counts as an answer as long as its client takes it."""
        self._answers += 1
        try:
            for start in range(0, len(file), SLICE_BYTES):
                yield file[start : start + SLICE_BYTES]
        finally:
            self._answers -= 1

    async def _begin(
        self, asked: SpeechRequest, request: Request
    ) -> tuple[Wanted, AsyncGenerator[Audio, None], Audio | None]:
        """Find the voice and wait for its first sound, again where the voice is replaced at this moment."""
        told = told_of(request.scope)
        for attempt in range(1, ATTEMPTS + 1):
            wanted = None
            try:
                wanted = await to_thread.run_sync(self._wanted, asked)
                told |= {"voice": wanted.voice.name, "seed": wanted.seed}
                pieces = self._backend.speak(wanted)
                return wanted, pieces, await unless_gone(anext(pieces, None), request.receive)
            except (UnknownVoiceError, BrokenError):
                replaced = wanted is None or not await to_thread.run_sync(
                    lambda chosen: chosen.is_current, wanted.voice
                )
                if attempt == ATTEMPTS or not replaced:
                    raise
            await asyncio.sleep(REPLACED_SECONDS)
        raise AssertionError("the last attempt returns or raises")

    def _wanted(self, asked: SpeechRequest) -> Wanted:
        longest = self._settings.max_characters
        if len(asked.input) > longest:
            raise Refusal(400, f"input: {len(asked.input)} characters, {longest} at most", param="input")
        if not is_speakable(asked.input):
            told = "input: there is nothing in it to speak; it has no letter and no digit"
            raise Refusal(400, told, param="input")
        voice = self._registry.find(asked.voice_name)
        sampling = checked_sampling(voice.engine, voice.record, asked.sampling)
        seed = secrets.randbelow(2**32) if asked.seed is None else asked.seed
        return Wanted(voice, asked.input, seed, sampling)

    async def _chunks(self, answer: Answer) -> AsyncGenerator[bytes, None]:
        told = answer.told
        told["ended"] = "left"
        self._answers += 1
        try:
            async with aclosing(self._sound(answer)) as sound:
                async for chunk in sound:
                    yield delta(chunk) if answer.is_sse else chunk
            told["ended"] = "done"
            if answer.is_sse:
                yield done(len(answer.asked.input), told["sound"])
        except Exception as error:
            told |= {"ended": "failed", "error": reason(error)}
            if not isinstance(error, VtuneError | Refusal):
                told["trace"] = traceback.format_exc()
            if not answer.is_sse:
                raise BrokenOffError from error
            yield failed(refusal_of(error).body())
        finally:
            self._answers -= 1

    async def _sound(self, answer: Answer) -> AsyncGenerator[bytes, None]:
        asked, name, told, longest = answer.asked, answer.wanted.voice.name, answer.told, self._settings.max_seconds
        marks = self._watermarks(name, OUTPUT_SAMPLE_RATE)
        comment = synthetic_note(name)
        output = AudioOutput(asked.response_format, answer.first.sample_rate, asked.speed, marks, comment)
        parts: list[bytes] = []  # of a whole file
        self._metrics.spoken[answer.label] += 1
        self._metrics.characters[answer.label] += len(asked.input)
        told["sound"] = 0.0
        piece: Audio | None = answer.first
        async with aclosing(answer.rest):
            while piece is not None:
                seconds = len(piece.waveform) / piece.sample_rate
                told["sound"] += seconds
                self._metrics.seconds[answer.label] += seconds
                if piece.ending is not None:
                    self._metrics.endings[piece.ending] += 1
                if told["sound"] > longest:
                    raise Refusal(400, f"more than {longest:g} s of sound; send less text at once")
                chunk = await to_thread.run_sync(output.add, piece.waveform)
                if asked.is_whole:
                    parts.append(chunk)
                elif chunk:
                    yield chunk
                piece = await anext(answer.rest, None)
        rest = await to_thread.run_sync(output.end)
        if file := output.with_length(b"".join([*parts, rest])) if asked.is_whole else rest:
            yield file


async def _joined(chunks: AsyncGenerator[bytes, None]) -> bytes:
    async with aclosing(chunks):
        return b"".join([chunk async for chunk in chunks])


def _headers(answer: Answer) -> dict[str, str]:
    wanted = answer.wanted
    headers = {
        "X-Vtune-Synthetic": "true",
        "X-Vtune-Voice": quote(wanted.voice.name, safe="*+ "),
        "X-Vtune-Engine": quote(wanted.voice.record.engine),
        "X-Vtune-Seed": str(wanted.seed),
    }
    if answer.asked.passed_over:
        headers["X-Vtune-Ignored"] = ", ".join(answer.asked.passed_over)
    return headers
