"""Orpheus in the server's backend: how soon the first sound comes, and that the sound equals that of ``vtune say``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from anyio.from_thread import start_blocking_portal

from vtune.runtime.paths import VoiceFolder
from vtune.serve import ServeSettings, SynthesisRequest, VoiceRegistry
from vtune.serve.inprocess import InProcessBackend
from vtune.serve.shared_base import SharedBase
from vtune.types import Audio
from vtune.voices.mixing import open_named
from vtune_orpheus.llama_stepper import LlamaStepper

TEXT = "Hello there. And one more sentence, which is a good deal longer than the first of the two was, as you can hear."
FRAME = 2048


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory, make_voice: Callable[..., VoiceFolder], tiny: Path) -> Path:
    folder = tmp_path_factory.mktemp("served") / "voices"
    options = {"base_model": str(tiny), "max_new_tokens": 84, "max_chars": 60}
    make_voice(folder / "anna", "orpheus", seed=1, engine_options=options)
    lora = {"rank": 2, "alpha": 4, "targets": ["attention"]}
    others = {"temperature": 0.9, "max_new_tokens": 42, "max_chars": 30, "max_tokens": 999, "loss_on": "all"}
    make_voice(folder / "ben", "orpheus", seed=2, lora=lora, engine_options={**options, **others})
    return folder


def wanted(voices: Path, name: str, seed: int = 3, **sampling: Any) -> SynthesisRequest:
    return SynthesisRequest(VoiceRegistry(voices, {}, {}, 8).find(name), TEXT, seed, sampling)


@pytest.fixture(scope="module")
def seed(voices: Path) -> int:
    """Return a seed with which the first sentence is longer than the look-ahead; an untrained voice ends at random."""
    anna = open_named("anna", voices, "cpu")
    return next(seed for seed in range(50) if len(next(anna.stream(TEXT, seed)).waveform) == FRAME)


def joined(pieces: list[Audio]) -> np.ndarray:
    return np.concatenate([piece.waveform for piece in pieces])


@pytest.mark.parametrize(("options", "frames"), [({}, 2), ({"first_frames": 4}, 4)])
def test_the_first_sound_takes_two_frames(
    voices: Path, seed: int, options: dict[str, Any], frames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = wanted(voices, "anna", seed)
    base = SharedBase(asked.voice, "cpu", options, 4)
    pieces = base.say(asked)
    calls: list[int] = []
    read = LlamaStepper._forward
    monkeypatch.setattr(LlamaStepper, "_forward", lambda *given: (calls.append(1), read(*given))[1])
    first = next(pieces)
    assert len(first.waveform) == FRAME
    assert len(calls) == 7 * frames  # the first of them reads the prompt


def test_all_but_the_first_frame_is_what_it_is_at_home(voices: Path, seed: int) -> None:
    asked = wanted(voices, "anna", seed)
    home = joined(list(open_named("anna", voices, "cpu").stream(TEXT, seed)))
    live = joined(list(SharedBase(asked.voice, "cpu", {}, 4).say(asked)))
    exact = joined(list(SharedBase(asked.voice, "cpu", {"first_frames": 4}, 4).say(asked)))
    assert np.array_equal(exact, home)
    assert len(live) == len(home)
    assert np.array_equal(live[FRAME:], home[FRAME:])
    assert not np.array_equal(live[:FRAME], home[:FRAME])


def test_voices_with_other_options_share_a_base_and_keep_their_ways(voices: Path) -> None:
    backend = InProcessBackend(ServeSettings(turns=3), "cpu", {"first_frames": 4})

    async def say(asked: SynthesisRequest) -> np.ndarray:
        return joined([piece async for piece in backend.speak(asked)])

    async def all_of_them() -> list[np.ndarray]:
        names = ("anna", "ben", "0.5*anna+0.5*ben")
        sounds = await asyncio.gather(*(say(wanted(voices, name)) for name in names))
        sounds.append(await say(wanted(voices, "ben", temperature=0.2)))
        assert backend.load().bases == 1
        assert backend.load().voices == 3
        return sounds

    with start_blocking_portal() as portal:
        anna, ben, both, calm = portal.call(all_of_them)
    backend.close()
    for name, sound in (("anna", anna), ("ben", ben), ("0.5*anna+0.5*ben", both)):
        assert np.array_equal(sound, joined(list(open_named(name, voices, "cpu").stream(TEXT, 3)))), name
    assert np.array_equal(
        calm, joined(list(open_named("ben", voices, "cpu").stream(TEXT, 3, sampling={"temperature": 0.2})))
    )
    assert not np.array_equal(calm, ben)


@pytest.fixture(scope="module")
def homes(voices: Path) -> dict[int, np.ndarray]:
    """Return the sound that the voice anna makes of each seed when it speaks alone."""
    anna = open_named("anna", voices, "cpu")
    return {seed: joined(list(anna.stream(TEXT, seed))) for seed in range(12)}


@pytest.mark.parametrize("leaving", [False, True])
def test_requests_of_one_voice_are_drawn_side_by_side(
    voices: Path, homes: dict[int, np.ndarray], leaving: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All requests run at once, and one client disconnects in the middle."""
    rows: list[int] = []
    step = LlamaStepper.step
    monkeypatch.setattr(LlamaStepper, "step", lambda self, tokens: (rows.append(len(tokens)), step(self, tokens))[1])
    backend = InProcessBackend(ServeSettings(), "cpu", {"first_frames": 4})
    # A voice of noise ends where it likes: those that speak longest.
    asked = [wanted(voices, "anna", seed) for seed in sorted(homes, key=lambda seed: -len(homes[seed]))[:6]]

    async def say(place: int) -> np.ndarray:
        pieces = []
        async for piece in (stream := backend.speak(asked[place])):
            pieces.append(piece)
            if leaving and place == 2:
                await stream.aclose()
                break
        return joined(pieces)

    async def all_of_them() -> list[np.ndarray]:
        return await asyncio.gather(*map(say, range(len(asked))))

    rows.clear()
    with start_blocking_portal() as portal:
        sounds = portal.call(all_of_them)
    backend.close()
    assert max(rows) == 3  # each joins four frames after the one before, and none has more than twelve
    for index, sound in enumerate(sounds):
        home = homes[asked[index].seed]
        left = leaving and index == 2
        assert len(sound) < len(home) if left else len(sound) == len(home)
        # Sums in another order: the codec is given the same codes, and what differs is its own rounding.
        assert np.abs(sound - home[: len(sound)]).max() < 1e-5
