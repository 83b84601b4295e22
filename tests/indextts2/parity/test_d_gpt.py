"""The GPT against the reference: conditioning, logits, losses, gradients, latents, decoding."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch

from vtune_indextts2.gpt import conditioning as conditioning_module
from vtune_indextts2.gpt.beam_search import search_codes
from vtune_indextts2.gpt.code_decoder import CodeDecoder, latents, sample_codes
from vtune_indextts2.gpt.code_sampling import CodeSampling, DecodingRules
from vtune_indextts2.gpt.conditioning import ConditioningEncoder
from vtune_indextts2.gpt.emotion import EmotionTable, interpolate_emotion, limit_weights
from vtune_indextts2.gpt.network import SemanticGPT, SemanticGPTConfig
from vtune_indextts2.gpt.row_layout import make_row
from vtune_indextts2.gpt.settings import GPTSettings
from vtune_indextts2.state_dicts import fold_weight_norm, load_strictly
from vtune_indextts2.training_rows import batch_rows

CLIPS = "clip"


@pytest.fixture(scope="module")
def stage(kit: Callable[[str], Any]) -> Any:
    return kit("d_gpt")


@pytest.fixture(scope="module")
def settings(stage: Any) -> GPTSettings:
    return GPTSettings.model_validate(stage.config)


@pytest.fixture(scope="module")
def tensors(stage: Any) -> dict[str, torch.Tensor]:
    return fold_weight_norm(stage.weights("gpt"))


@pytest.fixture(scope="module")
def encoder(settings: GPTSettings, tensors: dict[str, torch.Tensor]) -> ConditioningEncoder:
    encoder = ConditioningEncoder(settings).eval()
    own = {name: t for name, t in tensors.items() if name.startswith(conditioning_module.CONDITIONING_PREFIXES)}
    load_strictly(encoder, own, "the kit", conditioning_module.UNUSED_ENTRIES)
    return encoder.requires_grad_(False)


@pytest.fixture(scope="module")
def network(stage: Any, settings: GPTSettings, tensors: dict[str, torch.Tensor]) -> SemanticGPT:
    network = SemanticGPT(SemanticGPTConfig(settings=settings.model_dump())).eval()
    own = {name: t for name, t in tensors.items() if not name.startswith(conditioning_module.CONDITIONING_PREFIXES)}
    load_strictly(network, own, "the kit")
    return network


def clips(stage: Any) -> list[str]:
    return sorted(case for case in stage.json["cases"] if case.startswith(CLIPS) and case[len(CLIPS) :].isdigit())


def named(stage: Any, case: str, pattern: str) -> list[str]:
    """Return the clips that the description of a case names."""
    found = re.search(pattern, stage.json["cases"][case]["what"])
    assert found, f"{case} does not name its clips: {stage.json['cases'][case]['what']}"
    return list(found.groups())


def conditioned(encoder: ConditioningEncoder, features: torch.Tensor, emotion: torch.Tensor) -> torch.Tensor:
    return encoder.speaker(features) + encoder.emotion(emotion)[:, None]


def test_each_clip_alone(stage: Any, encoder: ConditioningEncoder, network: SemanticGPT) -> None:
    for case in clips(stage):
        features, text, codes = (stage.inp(case, name) for name in ("feat", "text", "codes"))
        stage.compare(case, "cond", encoder.speaker(features))
        stage.compare(case, "emo", encoder.emotion(features))
        row = conditioned(encoder, features, features)
        with torch.no_grad():
            stage.compare(case, "latent", latents(network, row, text[0].tolist(), codes[0].tolist()))
            text_logits, mel_logits = all_logits(network, row, text[0].tolist(), codes[0].tolist())
        stage.compare(case, "text_logits", text_logits)
        stage.compare(case, "mel_logits", mel_logits)


def all_logits(network: SemanticGPT, row: torch.Tensor, text: list[int], codes: list[int]) -> Any:
    # The reference also shows what follows the stop code, which training and synthesis never ask for.
    laid = make_row(network.settings, text, [*codes, network.settings.stop_mel_token])
    ids, kinds, positions = (torch.from_numpy(x)[None] for x in (laid.ids, laid.kinds, laid.positions))
    hidden = network.hidden_states(row, network.embed(ids, kinds, positions))
    return network.text_head(hidden[:, : len(text) + 2]), network.mel_head(hidden[:, len(text) + 2 :])


def test_emotions_merged(stage: Any, encoder: ConditioningEncoder) -> None:
    pair = named(stage, "merge_emotion", r"base from (clip\d+), emo from (clip\d+)")
    base, emotion = (encoder.emotion(stage.inp(case, "feat")) for case in pair)
    alphas = stage.json["cases"]["merge_emotion"]["inputs"]["alphas"]
    stage.compare("merge_emotion", "emo", torch.cat([interpolate_emotion(base, emotion, alpha) for alpha in alphas]))


def test_losses_and_gradients_of_a_batch(stage: Any, encoder: ConditioningEncoder, network: SemanticGPT) -> None:
    rows, alone = [], []
    for number in stage.json["cases"]["loss"]["inputs"]["clips"]:
        case = f"{CLIPS}{number}"
        features, text, codes = (stage.inp(case, name) for name in ("feat", "text", "codes"))
        row = make_row(network.settings, text[0].tolist(), codes[0].tolist())
        rows.append((conditioned(encoder, features, features)[0], row))
    for row in rows:
        with torch.no_grad():
            metrics = network(**batch_rows([row]))["metrics"]
        alone.append([float(metrics[name][0] / metrics[name][1]) for name in ("text_loss", "semantic_loss")])
    stage.compare("loss", "per_clip", torch.tensor(alone))
    network.requires_grad_(True).zero_grad()
    result = network(**batch_rows(rows))
    result["loss"].backward()
    mean = {name: (value[0] / value[1])[None] for name, value in result["metrics"].items()}
    stage.compare("loss", "total", result["loss"].detach()[None])
    stage.compare("loss", "text_loss", mean["text_loss"])
    stage.compare("loss", "mel_loss", mean["semantic_loss"])
    stage.compare("loss", "mel_top1", mean["semantic_top1"])
    gradients = {name: parameter.grad for name, parameter in network.named_parameters()}
    case = stage.json["cases"]["loss"]
    for output in case["outputs"]:
        if output.startswith("grad/"):
            stage.compare("loss", output, gradients[output.removeprefix("grad/")])
    for name, norm in case["gradient_l2"].items():
        assert float(gradients[name].norm()) == pytest.approx(norm, rel=case["gradient_rtol"]), name
    network.requires_grad_(False)


def test_decoding(stage: Any, encoder: ConditioningEncoder, network: SemanticGPT) -> None:
    stop = network.settings.stop_mel_token
    cases = [c for c, v in stage.json["cases"].items() if "max_new" in v["inputs"]]
    assert cases
    pattern = r"speaker from (clip\d+), emotion from (clip\d+)"
    usual = next(case for case in cases if re.search(pattern, stage.json["cases"][case]["what"]))
    for case in cases:
        asked = stage.json["cases"][case]["inputs"]
        describing = case if re.search(pattern, stage.json["cases"][case]["what"]) else usual
        row = conditioned(encoder, *(stage.inp(clip, "feat") for clip in named(stage, describing, pattern)))
        sampling = CodeSampling(
            temperature=0,
            repetition_penalty=asked.get("repetition_penalty", 1.0),
            penalty_history="upstream",
            mel_pos_offset=asked["mel_pos_offset"],
            beams=asked.get("num_beams", 1),
            length_penalty=asked.get("length_penalty", 0.0),
        )
        text = stage.inp(case, "text")[0].tolist()
        with torch.no_grad():
            start = CodeDecoder(network, row, text, sampling.mel_pos_offset, sampling.beams)
            rules = DecodingRules(stop, asked["max_new"], sampling.history(network.settings, start.length))
            method = search_codes if sampling.beams > 1 else sample_codes
            codes, stopped = method(start, sampling, rules, seed=0)
        stage.compare(case, "codes", torch.tensor([codes + [stop] * stopped]))


def test_scores_that_codes_are_drawn_from(stage: Any) -> None:
    for case, content in stage.json["cases"].items():
        if case.startswith("sampling_scores"):
            asked = content["inputs"]
            names = ("repetition_penalty", "temperature", "top_k", "top_p")
            sampling = CodeSampling(**{name: asked[name] for name in names})
            rules = DecodingRules(stop=0, limit=1, history=range(stage.inp(case, "history").shape[1] + 1))
            scores = sampling.processors(rules)(stage.inp(case, "history"), stage.inp(case, "scores"))
            stage.compare(case, "scores", scores)


def test_emotion_from_a_list_of_weights(stage: Any, encoder: ConditioningEncoder) -> None:
    case = "emotion_vector"
    asked = stage.json["cases"][case]["inputs"]
    table = EmotionTable(stage.inp(case, "emo_matrix"), stage.inp(case, "spk_matrix"), tuple(asked["groups"]))
    style, base = stage.inp(case, "style"), encoder.emotion(stage.inp(asked["base"].split()[0], "feat"))
    stage.compare(case, "rows", table.nearest(style))
    for suffix, bias in (("with_bias", asked["bias"]), ("without_bias", None)):
        weights = limit_weights(asked["weights"], bias)
        stage.compare(case, f"weights_{suffix}", weights)
        stage.compare(case, f"emo_{suffix}", table.mix(weights, base, style))
