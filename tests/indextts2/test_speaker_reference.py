"""The speaker of an utterance is the voice's own reference or a recording; speaker and emotion are compared with sums
by hand."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from vtune import Conditioning, DataError, VoiceError, VtuneError
from vtune.testing import made_clip
from vtune_indextts2 import reference_recording
from vtune_indextts2.base import IndexTTS2Base
from vtune_indextts2.conditioning import extract
from vtune_indextts2.recording_features import extract_features, extract_flow_prompt
from vtune_indextts2.speaker_reference import SpeakerPrompt, code_embeddings_of, pace_of, speaker_of

RATE = 22_050

MakeBase = Callable[..., IndexTTS2Base]


@pytest.fixture(scope="module")
def kept(make_base: MakeBase) -> Conditioning:
    """Return the voice's own reference."""
    return extract(make_base(), [made_clip(RATE, 1.0, 0)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("recordings")
    for name, rate, number in (("somebody", 16_000, 1), ("happy", 44_100, 2)):
        soundfile.write(made / f"{name}.wav", made_clip(rate, 0.8, number).waveform, rate, subtype="FLOAT")
    return made


@pytest.fixture(scope="module")
def heard(make_base: MakeBase, folder: Path) -> dict[str, dict[str, np.ndarray]]:
    """Return the features of each recording, computed by the parts themselves."""
    base = make_base()
    result = {}
    for name in ("somebody", "happy"):
        waveform, rate = soundfile.read(folder / f"{name}.wav", dtype="float32")
        listened = extract_features(base, waveform, rate)
        portrait = extract_flow_prompt(base, waveform, rate, listened)
        result[name] = {
            "condition": listened.condition.numpy(),
            "emotion": listened.emotion.numpy(),
            "style": portrait.style.numpy(),
            "ref_mel": portrait.ref_mel.numpy(),
            "prompt_condition": portrait.prompt_condition.numpy(),
        }
    return result


def given(speaker: SpeakerPrompt) -> np.ndarray:
    return speaker.conditioning.numpy()


def equal(found: np.ndarray, condition: np.ndarray, emotion: np.ndarray) -> None:
    """Check what the GPT gets: the emotion is added to each of the speaker's latents."""
    np.testing.assert_allclose(found, condition + emotion[:, None], rtol=1e-5, atol=1e-5)


def has_portrait_of(speaker: SpeakerPrompt, source: Any) -> None:
    for name in ("style", "ref_mel", "prompt_condition"):
        assert np.array_equal(getattr(speaker.flow_prompt, name).numpy(), source[name]), name


# The speaker


def test_without_a_recording_it_is_the_voice_s_own_reference(make_base: MakeBase, kept: Conditioning) -> None:
    speaker = speaker_of(make_base(), kept)
    equal(given(speaker), kept.tensors["condition"], kept.tensors["emotion"])
    has_portrait_of(speaker, kept.tensors)


def test_a_recording_takes_the_place_of_all_of_it(
    make_base: MakeBase, kept: Conditioning, folder: Path, heard: dict[str, Any]
) -> None:
    speaker = speaker_of(make_base(reference_audio=folder / "somebody.wav"), kept)
    equal(given(speaker), heard["somebody"]["condition"], heard["somebody"]["emotion"])
    has_portrait_of(speaker, heard["somebody"])


@pytest.mark.parametrize("missing", ["condition", "emotion", "style", "ref_mel", "prompt_condition", "codebook"])
def test_a_voice_without_a_tensor_is_told(make_base: MakeBase, kept: Conditioning, missing: str) -> None:
    less = Conditioning({name: array for name, array in kept.tensors.items() if name != missing}, kept.strings)
    with pytest.raises(VoiceError, match=f"has no '{missing}'; make the voice again"):
        code_embeddings_of(make_base(), less) if missing == "codebook" else speaker_of(make_base(), less)


# The emotion


@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0, 1.7])
def test_strength_alone_scales_the_stored_emotion(make_base: MakeBase, kept: Conditioning, strength: float) -> None:
    speaker = speaker_of(make_base(emotion_strength=strength), kept)
    equal(given(speaker), kept.tensors["condition"], strength * kept.tensors["emotion"])


@pytest.mark.parametrize("strength", [None, 0.4, 2.0])
def test_the_emotion_of_a_recording_is_gone_towards(
    make_base: MakeBase, kept: Conditioning, folder: Path, heard: dict[str, Any], strength: float | None
) -> None:
    base = make_base(emotion_audio=folder / "happy.wav", emotion_strength=strength)
    speaker = speaker_of(base, kept)
    own, asked = kept.tensors["emotion"], heard["happy"]["emotion"]
    share = 1.0 if strength is None else strength
    equal(given(speaker), kept.tensors["condition"], (1 - share) * own + share * asked)
    has_portrait_of(speaker, kept.tensors)


def test_speaker_and_emotion_may_be_two_recordings(
    make_base: MakeBase, kept: Conditioning, folder: Path, heard: dict[str, Any]
) -> None:
    base = make_base(reference_audio=folder / "somebody.wav", emotion_audio=folder / "happy.wav", emotion_strength=0.25)
    speaker = speaker_of(base, kept)
    emotion = 0.75 * heard["somebody"]["emotion"] + 0.25 * heard["happy"]["emotion"]
    equal(given(speaker), heard["somebody"]["condition"], emotion)
    has_portrait_of(speaker, heard["somebody"])


@pytest.mark.parametrize("strength", [0.4, 1.0])
def test_somebody_s_sound_may_have_the_voice_s_emotion(
    make_base: MakeBase, kept: Conditioning, folder: Path, heard: dict[str, Any], strength: float
) -> None:
    base = make_base(reference_audio=folder / "somebody.wav", emotion_strength=strength)
    emotion = (1 - strength) * heard["somebody"]["emotion"] + strength * kept.tensors["emotion"]
    equal(given(speaker_of(base, kept)), heard["somebody"]["condition"], emotion)


EMOTION_BIAS = np.array([0.9375, 0.875, 1, 1, 0.9375, 0.9375, 0.6875, 0.5625])


def mixed(base: IndexTTS2Base, weights: np.ndarray, own: np.ndarray, style: np.ndarray) -> np.ndarray:
    """Mix emotions by their weights: each is the vector of the most similar speaker, and the rest is the speaker's own
    emotion.
    """
    emotions, speakers = (torch.load(path, weights_only=True).double().numpy() for path in base.files.emotions)
    start, total = 0, (1 - weights.sum()) * own.astype(np.float64)
    for weight, size in zip(weights, base.config.emo_num, strict=True):
        rows = range(start, start + size)
        cosines = [speakers[row] @ style[0] / np.linalg.norm(speakers[row]) for row in rows]
        total = total + weight * emotions[start + int(np.argmax(cosines))]
        start += size
    return total


@pytest.mark.parametrize(
    ("weights", "strength", "bias"),
    [
        ([0, 0, 0, 0, 0, 0, 0, 0], None, True),
        ([0.6, 0, 0, 0, 0, 0, 0, 0], None, True),
        ([0, 0, 0, 0, 0, 0, 0, 0.6], None, False),
        ([0.1, 0.2, 0, 0.1, 0, 0, 0.3, 0], 0.5, True),
        ([1.2, 0, 0.9, 0, 0, 0, 1.4, 0], None, True),
        ([1.2, 0, 0.9, 0, 0, 0, 1.4, 0], 2.0, False),
        ([0.5, 0.5, 0, 0, 0, 0, 0, 0], 0.0, True),
    ],
)
def test_weights_mix_the_table_and_leave_the_rest_to_the_speaker(
    make_base: MakeBase, kept: Conditioning, weights: list[float], strength: float | None, bias: bool
) -> None:
    base = make_base(emotion_weights=weights, emotion_strength=strength, emotion_bias=bias)
    used = np.array(weights) * (1 if strength is None else strength) * (EMOTION_BIAS if bias else 1)
    if used.sum() > 0.8:
        used = used * 0.8 / used.sum()
    emotion = mixed(base, used, kept.tensors["emotion"], kept.tensors["style"])
    equal(given(speaker_of(base, kept)), kept.tensors["condition"], emotion)


def test_weights_look_for_the_recording_s_speaker(
    make_base: MakeBase, kept: Conditioning, folder: Path, heard: dict[str, Any]
) -> None:
    weights = np.array([0.1] * 8)
    base = make_base(reference_audio=folder / "somebody.wav", emotion_weights=weights.tolist(), emotion_bias=False)
    own = heard["somebody"]
    emotion = mixed(base, weights, own["emotion"], own["style"])
    equal(given(speaker_of(base, kept)), own["condition"], emotion)


def test_of_a_recording_and_weights_the_recording_counts(make_base: MakeBase, kept: Conditioning, folder: Path) -> None:
    both = make_base(emotion_audio=folder / "happy.wav", emotion_weights=[0.5] + [0] * 7)
    alone = make_base(emotion_audio=folder / "happy.wav")
    assert np.array_equal(given(speaker_of(both, kept)), given(speaker_of(alone, kept)))


# Recordings


@pytest.fixture
def listened(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return how many samples each call of the encoders got."""
    calls: list[int] = []
    original = reference_recording.extract_features

    def count(base: IndexTTS2Base, waveform: np.ndarray, rate: int) -> Any:
        calls.append(len(waveform))
        return original(base, waveform, rate)

    monkeypatch.setattr(reference_recording, "extract_features", count)
    return calls


def test_a_recording_is_listened_to_once_and_again_when_it_changes(
    make_base: MakeBase, kept: Conditioning, tmp_path: Path, listened: list[int]
) -> None:
    path = tmp_path / "somebody.wav"
    soundfile.write(path, made_clip(RATE, 0.6, 1).waveform, RATE)
    base = make_base(reference_audio=path, emotion_audio=path)
    first = given(speaker_of(base, kept))
    assert np.array_equal(given(speaker_of(base, kept)), first)
    assert listened == [int(0.6 * RATE)]
    soundfile.write(path, made_clip(RATE, 0.7, 2).waveform, RATE)
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1_000_000))  # where clocks are coarse
    assert not np.array_equal(given(speaker_of(base, kept)), first)
    assert listened == [int(0.6 * RATE), int(0.7 * RATE)]


def test_only_what_is_asked_for_is_listened_to(make_base: MakeBase, kept: Conditioning, listened: list[int]) -> None:
    speaker_of(make_base(), kept)
    speaker_of(make_base(emotion_weights=[0.5] + [0] * 7), kept)
    assert not listened


@pytest.mark.parametrize("option", ["reference_audio", "emotion_audio"])
@pytest.mark.parametrize(
    ("seconds", "says"),
    [
        (40.0, "has 40.0 s, but a reference needs 0.5 to 15 s"),
        (15.1, "has 15.1 s, but a reference needs 0.5 to 15 s"),
        (0.2, "has 0.2 s, but a reference needs 0.5 to 15 s"),
    ],
)
def test_a_recording_of_no_good_length_is_told(
    make_base: MakeBase, kept: Conditioning, tmp_path: Path, option: str, seconds: float, says: str
) -> None:
    path = tmp_path / "long.wav"
    soundfile.write(path, made_clip(8000, seconds, 0).waveform, 8000)
    message = refusal(VoiceError, make_base(**{option: path}), kept)
    assert message.startswith(f"{option} {path} ")
    assert says in message


def test_a_longer_recording_may_be_allowed(make_base: MakeBase, kept: Conditioning, tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    soundfile.write(path, made_clip(8000, 2.0, 0).waveform, 8000)
    refusal(VoiceError, make_base(reference_audio=path, reference_seconds=1.5), kept)
    speaker = speaker_of(make_base(reference_audio=path, reference_seconds=2), kept)
    assert speaker.flow_prompt.ref_mel.shape[2] == 2 * RATE // 256


def refusal(kind: type[VtuneError], base: IndexTTS2Base, kept: Conditioning) -> str:
    with pytest.raises(kind) as caught:
        speaker_of(base, kept)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert len(message) < 600
    return message


@pytest.mark.parametrize("option", ["reference_audio", "emotion_audio"])
def test_a_silent_recording_is_told(make_base: MakeBase, kept: Conditioning, tmp_path: Path, option: str) -> None:
    soundfile.write(tmp_path / "quiet.wav", np.zeros(RATE), RATE)
    assert "digital silence" in refusal(VoiceError, make_base(**{option: tmp_path / "quiet.wav"}), kept)


@pytest.mark.parametrize("option", ["reference_audio", "emotion_audio"])
def test_a_recording_that_cannot_be_read_is_told(
    make_base: MakeBase, kept: Conditioning, tmp_path: Path, option: str
) -> None:
    (tmp_path / "notes.wav").write_text("not a recording")
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "song.m4a").write_bytes(b"\0" * 100)
    (tmp_path / "folder.wav").mkdir()
    for name in ("nowhere.wav", "notes.wav", "empty.wav", "song.m4a", "folder.wav"):
        assert name in refusal(DataError, make_base(**{option: tmp_path / name}), kept)


def test_two_channels_at_any_rate_are_a_recording(make_base: MakeBase, kept: Conditioning, tmp_path: Path) -> None:
    sound = made_clip(48_000, 0.8, 3).waveform
    soundfile.write(tmp_path / "stereo.flac", np.stack([sound, sound], axis=1), 48_000)
    soundfile.write(tmp_path / "mono.flac", sound, 48_000)
    stereo, mono = (
        given(speaker_of(make_base(reference_audio=tmp_path / f"{name}.flac"), kept)) for name in ("stereo", "mono")
    )
    np.testing.assert_allclose(stereo, mono, rtol=1e-4, atol=1e-5)


# Conditioning that a stranger made


@pytest.mark.parametrize(
    "name",
    ["condition", "emotion", "style", "ref_mel", "prompt_condition", "codebook", "codebook_weight", "codebook_bias"],
)
@pytest.mark.parametrize(
    "change",
    [
        lambda array: array[..., :-1],
        lambda array: array[None],
        lambda array: array.astype(np.int64),
        lambda array: array.astype(np.complex64),
        lambda array: array > 0,
        lambda array: array[:0],
        lambda array: np.float32(1.0) * np.ones(()),
    ],
    ids=["narrower", "another axis", "whole numbers", "complex", "truth values", "empty", "a single number"],
)
def test_a_tensor_that_cannot_be_the_voices_is_named(
    make_base: MakeBase, kept: Conditioning, name: str, change: Callable[[np.ndarray], np.ndarray]
) -> None:
    if name == "ref_mel":  # its last axis may have any length
        kept = Conditioning({**kept.tensors, name: kept.tensors[name][:, :, :1]}, kept.strings)
    changed = Conditioning({**kept.tensors, name: change(kept.tensors[name])}, kept.strings)
    base = make_base()
    with pytest.raises(VoiceError, match=f"^[^\n]*'{name}'[^\n]*make the voice again$"):
        code_embeddings_of(base, changed) if name.startswith("codebook") else speaker_of(base, changed)


@pytest.mark.parametrize("pace", ["nan", "inf", "-1", "1e9", "", "fast\x1b[2J", "9" * 100_000])
def test_a_pace_of_nobody_is_refused(pace: str) -> None:
    with pytest.raises(VoiceError, match="seconds_per_token") as caught:
        pace_of(Conditioning({}, {"seconds_per_token": pace}))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300
