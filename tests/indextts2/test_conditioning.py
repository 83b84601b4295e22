"""What a voice keeps: which clip represents it, what is joined or averaged, and that nothing else is needed later."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from vtune import Clip, Conditioning, EngineError
from vtune.testing import made_clip
from vtune_indextts2.base import IndexTTS2Base
from vtune_indextts2.conditioning import extract, score
from vtune_indextts2.recording_features import extract_features, extract_flow_prompt, speaker_style
from vtune_indextts2.speaker_reference import code_embeddings_of

RATE = 22_050

MakeBase = Callable[..., IndexTTS2Base]


@pytest.fixture(scope="module")
def base(make_base: MakeBase) -> IndexTTS2Base:
    return make_base()


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return [made_clip(RATE, seconds, number) for number, seconds in enumerate((0.6, 0.9, 0.5, 0.7))]


def changed(clip: Clip, waveform: np.ndarray, name: str) -> Clip:
    return Clip(name, clip.voice, clip.text, waveform.astype(np.float32), clip.sample_rate)


def noisy(clip: Clip, level: float) -> Clip:
    noise = np.random.default_rng(1).normal(0, level, len(clip.waveform))
    return changed(clip, clip.waveform + noise, f"noisy {level}")


def clipped(clip: Clip, gain: float) -> Clip:
    return changed(clip, np.clip(gain * clip.waveform, -1, 1), f"clipped {gain}")


def silent(seconds: float) -> Clip:
    return Clip("silent", "someone", "one two", np.zeros(int(seconds * RATE), dtype=np.float32), RATE)


def choice(kept: Conditioning) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(kept.strings["choice"])
    return read


# What is kept


def test_all_that_speaking_needs_is_kept(base: IndexTTS2Base, clips: Sequence[Clip]) -> None:
    kept = extract(base, clips)
    shapes = {name: array.shape for name, array in kept.tensors.items()}
    features, width = base.config.gpt.feature_dim, base.config.gpt.model_dim
    codec, mu = base.config.semantic_codec, base.config.s2mel.dit.content_dim
    (best,) = (clip for clip in clips if clip.id == choice(kept)["clips"][0])
    frames = len(best.waveform) // 256
    codes = shapes["ref_codes"][1]
    assert codes == pytest.approx(50 * best.seconds, abs=2)
    assert shapes == {
        "spk_cond_emb": (1, codes, features),
        "emo_cond_emb": (1, codes, features),
        "style": (1, 192),
        "ref_mel": (1, 80, frames),
        "prompt_condition": (1, frames, mu),
        "condition": (1, 32, width),
        "emotion": (1, width),
        "ref_codes": (1, codes),
        "codebook": (codec.codebook_size, codec.codebook_dim),
        "codebook_weight": (features, codec.codebook_dim),
        "codebook_bias": (features,),
    }
    assert kept.tensors["ref_codes"].dtype == np.int64
    assert {array.dtype for name, array in kept.tensors.items() if name != "ref_codes"} == {np.dtype(np.float32)}
    assert all(np.isfinite(array).all() for array in kept.tensors.values())


def test_the_reference_is_the_chosen_clip_itself(base: IndexTTS2Base, clips: Sequence[Clip]) -> None:
    kept = extract(base, clips)
    (best,) = (clip for clip in clips if clip.id == choice(kept)["clips"][0])
    features = extract_features(base, best.waveform, RATE)
    portrait = extract_flow_prompt(base, best.waveform, RATE, features)
    for name, tensor in {
        "spk_cond_emb": features.features, "emo_cond_emb": features.features, "condition": features.condition,
        "emotion": features.emotion, "ref_codes": features.codes, "style": portrait.style, "ref_mel": portrait.ref_mel,
        "prompt_condition": portrait.prompt_condition,
    }.items():  # fmt: skip
        assert np.array_equal(kept.tensors[name], tensor.numpy()), name


def test_the_code_table_gives_the_codec_s_own_embeddings(base: IndexTTS2Base, clips: Sequence[Clip]) -> None:
    table = code_embeddings_of(base, extract(base, clips[:1]))
    codes = torch.arange(base.config.semantic_codec.codebook_size)[None]
    torch.testing.assert_close(table.lookup(codes), base.codec.lookup(codes), rtol=1e-5, atol=1e-6)


def test_the_content_of_the_reference_can_be_made_from_its_codes(base: IndexTTS2Base, clips: Sequence[Clip]) -> None:
    """A voice can therefore get another flow later: ``prompt_condition`` is made of the codes and the table alone."""
    kept = extract(base, clips)
    embedded = code_embeddings_of(base, kept).lookup(torch.from_numpy(kept.tensors["ref_codes"]))
    frames = torch.tensor([kept.tensors["ref_mel"].shape[2]])
    remade = base.s2mel.condition(embedded, frames)
    torch.testing.assert_close(remade, torch.from_numpy(kept.tensors["prompt_condition"]), rtol=1e-4, atol=1e-5)


def test_facts_about_the_voice_are_kept_beside_it(base: IndexTTS2Base, clips: Sequence[Clip]) -> None:
    strings = extract(base, clips).strings
    assert strings["normaliser"] == base.frontend.engine.identity
    assert json.loads(strings["fingerprint"]) == base.speaking_fingerprint
    tokens = sum(len(base.frontend.tokenize(clip.text)) for clip in clips)
    assert float(strings["seconds_per_token"]) == pytest.approx(sum(clip.seconds for clip in clips) / tokens, abs=1e-5)


def test_the_rate_of_the_recording_does_not_matter(base: IndexTTS2Base) -> None:
    """Two seconds are a hundred codes and 172 frames at any sample rate."""
    for rate in (8_000, 16_000, 44_100, 48_000):
        kept = extract(base, [made_clip(rate, 2.0, 0)])
        assert kept.tensors["ref_codes"].shape[1] == pytest.approx(100, abs=1)
        assert kept.tensors["ref_mel"].shape[2] == 2 * RATE // 256


# Which clip


def test_scores_are_computed_as_they_are_written_down(base: IndexTTS2Base, clips: Sequence[Clip]) -> None:
    listed = choice(extract(base, clips))
    assert listed["reference"] == "best"
    styles = np.concatenate([speaker_style(base, clip.waveform, RATE).numpy() for clip in clips]).astype(np.float64)
    assert {entry["clip"] for entry in listed["scores"]} == {clip.id for clip in clips}
    for entry in listed["scores"]:
        (index,) = (index for index, clip in enumerate(clips) if clip.id == entry["clip"])
        others = np.delete(styles, index, axis=0).mean(axis=0)
        cosine = styles[index] @ others / np.linalg.norm(styles[index]) / np.linalg.norm(others)
        assert entry["similarity"] == pytest.approx(cosine, abs=1e-4)
        assert entry["seconds"] == pytest.approx(clips[index].seconds, abs=0.01)
        share = entry["noise"] / 40
        assert 0 < share < 1
        expected = entry["similarity"] - 0.2 * (1 - share) - min(50 * entry["clipped"], 0.5)
        assert entry["total"] == pytest.approx(expected, abs=1e-4)
    totals = [entry["total"] for entry in listed["scores"]]
    assert totals == sorted(totals, reverse=True)
    assert listed["clips"] == [listed["scores"][0]["clip"]]


def test_a_voice_of_one_clip_has_it(base: IndexTTS2Base, clips: Sequence[Clip]) -> None:
    listed = choice(extract(base, clips[:1]))
    assert listed["clips"] == [clips[0].id]
    assert listed["scores"][0]["similarity"] == pytest.approx(1)


def test_the_order_of_the_clips_does_not_matter(base: IndexTTS2Base, clips: Sequence[Clip]) -> None:
    first, second = extract(base, clips), extract(base, clips[::-1])
    assert choice(first)["clips"] == choice(second)["clips"]
    assert np.array_equal(first.tensors["ref_mel"], second.tensors["ref_mel"])


def test_the_level_of_silence_between_words_is_what_is_taken_for_noise() -> None:
    """Three quarters tone of level -9 dB, one quarter noise of a known level: the distance is known."""
    tone = 0.5 * np.sin(2 * np.pi * 200 * np.arange(3 * RATE) / RATE)
    for level in (0.1, 0.01):
        noise = np.random.default_rng(0).normal(0, level, RATE)
        clip = Clip("a", "someone", "one", np.concatenate([tone, noise]).astype(np.float32), RATE)
        (result,) = score([clip], torch.ones(1, 192))
        distance = 10 * np.log10(0.5**2 / 2) - 20 * np.log10(level)
        assert result.noise == pytest.approx(distance, abs=1)
        assert result.clipped == 0


def test_noise_and_clipping_cost_what_they_are(clips: Sequence[Clip]) -> None:
    clean = clips[0]
    copies = [clean, noisy(clean, 0.02), noisy(clean, 0.1), clipped(clean, 4), clipped(clean, 30)]
    alike = torch.ones(len(copies), 192)
    scores = score(copies, alike)
    totals = [each.total for each in scores]
    assert totals[0] == max(totals)
    assert totals[0] > totals[1] > totals[2]
    assert totals[0] > totals[3] > totals[4]
    assert scores[4].clipped == pytest.approx(np.mean(np.abs(copies[4].waveform) >= 0.999), abs=1e-5)
    assert scores[0].clipped == 0
    for (
        each
    ) in scores:  # similar all the same: the rest is 0.2 for noise and 50 a share of clipped samples, 0.5 at most
        noise = 0.2 * (1 - min(max(each.noise, 0), 40) / 40)
        assert each.total == pytest.approx(1 - noise - min(50 * each.clipped, 0.5), abs=1e-6)
    assert 1 - scores[4].total > 0.5


def test_a_clean_clip_stands_for_the_voice_before_its_damaged_copies(
    base: IndexTTS2Base, clips: Sequence[Clip]
) -> None:
    """All clips have the same sound, so their similarity to the voice does not decide."""
    clean = clips[0]
    copies = [clipped(clean, 30), changed(clean, clean.waveform, "clean"), noisy(clean, 0.002), clipped(clean, 20)]
    assert choice(extract(base, copies))["clips"][0] in {"clean", "noisy 0.002"}
    assert choice(extract(base, [clipped(clean, 30), changed(clean, clean.waveform, "clean")]))["clips"] == ["clean"]


def test_silent_long_and_hardly_audible_clips_are_no_candidates(make_base: MakeBase, clips: Sequence[Clip]) -> None:
    base = make_base(reference_seconds=1.0)
    unfit = [silent(0.8), made_clip(RATE, 1.2, 5), made_clip(RATE, 0.02, 6), made_clip(RATE, 0.45, 7)]
    listed = choice(extract(base, [*unfit[:2], clips[0], *unfit[2:]]))
    assert [entry["clip"] for entry in listed["scores"]] == listed["clips"] == [clips[0].id]


@pytest.mark.parametrize("reference", ["best", "join", "average"])
def test_without_a_candidate_it_says_what_there_is(make_base: MakeBase, reference: str) -> None:
    base = make_base(reference=reference, reference_seconds=1.0)
    for unfit in ([silent(0.8)], [made_clip(RATE, 1.2, 0), made_clip(RATE, 3.0, 1)], [made_clip(RATE, 0.02, 0)]):
        with pytest.raises(EngineError, match="no clip of voice 'someone' can be its reference") as caught:
            extract(base, unfit)
        message = str(caught.value)
        assert "engine_options.reference_seconds" in message
        assert f"{unfit[0].seconds:.1f} to {unfit[-1].seconds:.1f} s" in message
        assert len(message.splitlines()) == 1


# Several clips


@pytest.mark.parametrize("seconds", [0.6, 1.5, 15])
def test_joined_clips_are_the_best_that_fit(make_base: MakeBase, clips: Sequence[Clip], seconds: float) -> None:
    base = make_base(reference="join", reference_seconds=seconds)
    kept = extract(base, clips)
    listed = choice(kept)
    lengths = {clip.id: clip.seconds for clip in clips}
    expected: list[str] = []
    for entry in listed["scores"]:  # best first: each that still fits, with a pause before it
        if sum(lengths[name] + 0.2 for name in [*expected, entry["clip"]]) - 0.2 <= seconds + 1e-9:
            expected.append(entry["clip"])
    assert listed["clips"] == expected
    waveforms = {clip.id: clip.waveform for clip in clips}
    pause = np.zeros(int(0.2 * RATE), dtype=np.float32)
    pieces = [piece for name in expected for piece in (pause, waveforms[name])][1:]
    joined = np.concatenate(pieces)
    assert len(joined) <= seconds * RATE
    features = extract_features(base, joined, RATE)
    assert np.array_equal(kept.tensors["ref_codes"], features.codes.numpy())
    assert np.array_equal(kept.tensors["ref_mel"], extract_flow_prompt(base, joined, RATE, features).ref_mel.numpy())


def test_only_clips_of_one_rate_are_joined(make_base: MakeBase) -> None:
    base = make_base(reference="join")
    rates = {"a": 16_000, "b": 22_050, "c": 16_000, "d": 22_050}
    clips = [
        Clip(name, "someone", "one two", made_clip(rate, 0.7, number).waveform, rate)
        for number, (name, rate) in enumerate(rates.items())
    ]
    listed = choice(extract(base, clips))
    first = listed["scores"][0]["clip"]
    assert set(listed["clips"]) == {name for name, rate in rates.items() if rate == rates[first]}


def test_averaged_are_the_vectors_and_not_the_sound(make_base: MakeBase, clips: Sequence[Clip]) -> None:
    base = make_base(reference="average")
    kept = extract(base, clips)
    best = extract(make_base(), clips)
    features = [extract_features(base, clip.waveform, RATE) for clip in clips]
    styles = [speaker_style(base, clip.waveform, RATE) for clip in clips]
    for name, each in {
        "condition": [clip_features.condition for clip_features in features],
        "emotion": [clip_features.emotion for clip_features in features],
        "style": styles,
    }.items():
        mean = np.mean([tensor.numpy().astype(np.float64) for tensor in each], axis=0)
        scale = np.abs(mean).max()
        np.testing.assert_allclose(kept.tensors[name], mean, rtol=0, atol=1e-5 * scale)
        assert np.abs(kept.tensors[name] - best.tensors[name]).max() > 1e-3 * scale, name
    for name in ("ref_mel", "prompt_condition", "ref_codes", "spk_cond_emb", "codebook"):
        assert np.array_equal(kept.tensors[name], best.tensors[name]), name
    assert set(choice(kept)["clips"]) == {clip.id for clip in clips}
    assert choice(kept)["clips"][0] == choice(best)["clips"][0]
