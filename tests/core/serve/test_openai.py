"""OpenAI's own Python client against a running server."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from anyio.from_thread import start_blocking_portal
from fences import blocks

openai = pytest.importorskip("openai", reason="OpenAI's client is not installed")


@pytest.fixture
def sync(client: Any) -> Any:
    with openai.OpenAI(base_url=f"{client.url}/v1", api_key="none", max_retries=0) as made:
        yield made


ASKED = {"model": "tts-1", "voice": "anna", "input": "hello there", "extra_body": {"seed": 1}}


def test_the_program_of_the_page_writes_what_the_voice_says(client: Any, tmp_path: Any, monkeypatch: Any) -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "serve.md"
    (program,) = (block.text for block in blocks(page.read_text(encoding="utf-8")) if "import OpenAI" in block.text)
    monkeypatch.chdir(tmp_path)
    exec(program.replace("http://127.0.0.1:8000", client.url).replace('"jane"', '"anna"'), {})
    sound, rate = soundfile.read(tmp_path / "hello.wav", dtype="float32")
    assert rate == 24_000
    assert np.array_equal(sound, client.said(text="Hello there."))


def test_a_file_is_written(sync: Any, client: Any, tmp_path: Any) -> None:
    for name in ("wav", "flac"):
        sync.audio.speech.create(**ASKED, response_format=name).write_to_file(tmp_path / f"a.{name}")
        sound, rate = soundfile.read(tmp_path / f"a.{name}", dtype="float32")
        assert rate == 24_000
        assert np.array_equal(sound, client.said())


def test_sound_is_streamed(sync: Any, client: Any) -> None:
    with sync.audio.speech.with_streaming_response.create(**ASKED, response_format="pcm") as answer:
        parts = list(answer.iter_bytes(1024))
    assert len(parts) > 3
    assert np.array_equal(np.frombuffer(b"".join(parts), "<i2") / np.float32(32768), client.said())


def test_events_are_streamed(sync: Any, client: Any) -> None:
    made = sync.audio.speech.with_streaming_response
    with made.create(**ASKED, response_format="pcm", stream_format="sse") as answer:
        events = [json.loads(line.removeprefix("data: ")) for line in answer.iter_lines() if line]
    sound = b"".join(base64.b64decode(event["audio"]) for event in events if event["type"] == "speech.audio.delta")
    assert np.array_equal(np.frombuffer(sound, "<i2") / np.float32(32768), client.said())
    assert events[-1]["type"] == "speech.audio.done"


def test_many_at_once_from_one_loop(client: Any) -> None:
    async def ask() -> list[bytes]:
        async with openai.AsyncOpenAI(base_url=f"{client.url}/v1", api_key="none") as made:

            async def one(voice: Any) -> bytes:
                asked = {**ASKED, "voice": voice, "response_format": "pcm"}
                async with made.audio.speech.with_streaming_response.create(**asked) as answer:
                    return b"".join([part async for part in answer.iter_bytes()])

            return await asyncio.gather(*map(one, ["anna", {"id": "ben"}, "alloy", "anna"]))

    with start_blocking_portal() as portal:
        anna, ben, alloy, again = portal.call(ask)
    assert anna == alloy == again == (client.said() * 32768).astype("<i2").tobytes()
    assert ben == (client.said("ben") * 32768).astype("<i2").tobytes()


def test_errors_are_its_own_kinds(sync: Any) -> None:
    with pytest.raises(openai.NotFoundError, match="no voice 'anne'; did you mean 'anna'") as caught:
        sync.audio.speech.create(**{**ASKED, "voice": "anne"})
    assert caught.value.code == "voice_not_found"
    assert caught.value.param == "voice"
    with pytest.raises(openai.BadRequestError, match="so there is nothing to speak"):
        sync.audio.speech.create(**{**ASKED, "input": " "})


def test_models_are_listed(sync: Any) -> None:
    assert next(iter(sync.models.list())).id == "vtune"
    for name in ("tts-1", "tts-2", "hexgrad/Kokoro-82M"):
        assert sync.models.retrieve(name).id == name
