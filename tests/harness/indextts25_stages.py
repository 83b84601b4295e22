"""Each stage of IndexTTS-2.5 held against a parity kit; sizes, cases and hidden states come from the kit.

A check raises ``AssertionError`` at the first number that differs, so that deliberate mistakes can be tried on it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2BertConfig, Wav2Vec2BertModel

from vtune_indextts2.gpt import conditioning as conditioning_module
from vtune_indextts2.gpt.beam_search import search_codes
from vtune_indextts2.gpt.code_decoder import CodeDecoder, latents, sample_codes
from vtune_indextts2.gpt.code_sampling import CodeSampling, DecodingRules
from vtune_indextts2.gpt.conditioning import EmotionEncoder
from vtune_indextts2.gpt.emotion import EmotionTable, interpolate_emotion
from vtune_indextts2.gpt.network import SemanticGPTConfig
from vtune_indextts2.gpt.row_layout import make_row
from vtune_indextts2.gpt.settings import GPTSettings
from vtune_indextts2.gpt.style_network import StyleGPT
from vtune_indextts2.multilingual.frontend import DROPPED_IDS, Engines, MultilingualFrontend, prefix_of
from vtune_indextts2.multilingual.tokens import load_encoder
from vtune_indextts2.recording_features import extract_features, extract_flow_prompt
from vtune_indextts2.releases.registry import RELEASES
from vtune_indextts2.s2mel.length_regulator import target_frames
from vtune_indextts2.s2mel.network import S2Mel
from vtune_indextts2.s2mel.settings import S2MelSettings
from vtune_indextts2.semantic.features import SemanticEncoder
from vtune_indextts2.semantic.half_rate_codec import HalfRateCodec
from vtune_indextts2.speaker.campplus import CAMPPlus
from vtune_indextts2.speaker_reference import SpeakerPrompt
from vtune_indextts2.state_dicts import drop_entries, fold_weight_norm, load_strictly
from vtune_indextts2.training_rows import batch_rows
from vtune_indextts2.vocoder import bigvgan
from vtune_indextts2.vocoder.bigvgan import BigVGAN
from vtune_indextts2.vocoder.settings import BigVGANSettings
from vtune_indextts2.waveform.mel import MelSettings

RELEASE = RELEASES["2.5"]
CPU = torch.device("cpu")
CODEC_SIZES = (
    "codebook_size", "hidden_size", "codebook_dim", "vocos_dim", "vocos_intermediate_dim", "vocos_num_layers",
)  # fmt: skip

Tensors = dict[str, torch.Tensor]


def given(fx: Any, case: str, name: str) -> Any:
    """Return an input of a case; ``in/other_case/x`` in its place names the tensor of another case."""
    value = fx.inp(case, name)
    if isinstance(value, str) and value.startswith(("in/", "out/")):
        return next(tensor.clone() for key, tensor in sorted(fx.tensors.items()) if fnmatchcase(key, value))
    return value


def filled(network: Any, tensors: Mapping[str, torch.Tensor], unused: tuple[str, ...] = ()) -> Any:
    """Fill a network strictly and freeze it."""
    assert not load_strictly(network, fold_weight_norm(tensors), "the kit", unused)
    return network.eval().requires_grad_(False)


# The codec


def codec_of(fx: Any, sizes: Mapping[str, Any]) -> HalfRateCodec:
    """Return the codec of a kit."""
    codec: HalfRateCodec = filled(HalfRateCodec(**{name: sizes[name] for name in CODEC_SIZES}), fx.weights("codec"))
    return codec


@torch.no_grad()
def check_codec(fx: Any) -> None:
    """Compare codes, embeddings, decoded features and the training forward of the codec."""
    codec = codec_of(fx, fx.config)
    for case, facts in fx.json["cases"].items():
        for name, got in _codec_results(
            codec, {key: given(fx, case, key) for key in facts["inputs"]}, facts["outputs"]
        ):
            fx.compare(case, name, got)


def _codec_results(codec: HalfRateCodec, inputs: Tensors, outputs: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if "rec" in outputs:
        x = inputs["x"][:, : inputs["x"].shape[1] // 2 * 2]  # only training cuts an odd last frame
        codes, _ = codec.quantize(x)
        rebuilt = codec.decode(codes)
        yield from (("rec", rebuilt), ("codes", codes[None]), ("mse", ((rebuilt - x) ** 2).mean()[None]))
    elif "x" in inputs:
        encoded = codec.encode(inputs["x"])
        codes, embedding = codec.quantize(inputs["x"])
        projected = codec.quantizer.only.in_project(encoded.transpose(1, 2)).transpose(1, 2)
        yield from (("down", codec.halve(inputs["x"])), ("encoded", encoded), ("projected", projected))
        yield from (("codes", codes), ("emb", embedding))
    elif "emb" in outputs:
        yield "emb", codec.lookup(inputs["codes"]).transpose(1, 2)
    else:
        yield "feat", codec.decode(inputs["codes"])


# The GPT


def gpt_settings(config: Mapping[str, Any], tensors: Tensors) -> GPTSettings:
    """Return the settings of a kit's GPT; what its configuration leaves out has the shapes of its weights."""
    shapes = {
        "style_dim": tensors["spk_emb_proj.weight"].shape[1],
        "languages": len(tensors["lang_embedding.weight"]),
        "emo_perceiver_dim": tensors["emo_perceiver_encoder.latents"].shape[1],
    }
    return GPTSettings.model_validate({**shapes, **config, "release": "2.5"})


def gpt_of(config: Mapping[str, Any], tensors: Tensors) -> tuple[StyleGPT, EmotionEncoder]:
    """Return the network and its encoder of emotion."""
    settings, prefixes = gpt_settings(config, tensors), conditioning_module.CONDITIONING_PREFIXES
    encoding = {name: tensor for name, tensor in tensors.items() if name.startswith(prefixes)}
    encoder = filled(EmotionEncoder(settings), encoding, conditioning_module.UNUSED_ENTRIES)
    network = StyleGPT(SemanticGPTConfig(settings=settings.model_dump()))
    return filled(network, drop_entries(tensors, encoding)), encoder


class Utterance:
    """One clip of the kit: what the GPT is told, and its text and codes."""

    def __init__(self, fx: Any, case: str, encoder: EmotionEncoder) -> None:
        self.style, self.features = fx.inp(case, "style"), fx.inp(case, "feat")
        self.emotion = encoder.emotion(self.features)
        self.told = RELEASE.join(self.style, self.emotion)
        self.language = int(fx.inp(case, "lang")[0])
        self.text, self.codes = (fx.inp(case, name)[0].tolist() for name in ("text", "codes"))


def clip_names(fx: Any) -> list[str]:
    """Return the cases that are clips, in their order."""
    return sorted((case for case in fx.json["cases"] if re.fullmatch(r"clip\d+", case)), key=lambda case: int(case[4:]))


def check_gpt(fx: Any) -> None:
    """Compare everything of the GPT: prefix, emotions, logits, losses with gradients, decoding."""
    network, encoder = gpt_of(fx.config, fx.weights("gpt"))
    utterances = {case: Utterance(fx, case, encoder) for case in clip_names(fx)}
    with torch.no_grad():
        for case, utterance in utterances.items():
            _check_clip(fx, case, network, utterance)
        _check_emotions(fx, utterances)
        for case, facts in fx.json["cases"].items():
            if "max_new" in facts["inputs"]:
                _check_decoding(fx, case, network, utterances)
    _check_losses(fx, network, [utterances[f"clip{number}"] for number in fx.inp("loss", "clips")])


def _check_clip(fx: Any, case: str, network: StyleGPT, clip: Utterance) -> None:
    fx.compare(case, "prefix", network.prefix(clip.told))
    fx.compare(case, "emo", clip.emotion)
    fx.compare(case, "latent", latents(network, clip.told, clip.text, clip.codes, clip.language))
    # The reference also shows what follows the stop code, which training and synthesis never ask for.
    laid = make_row(network.settings, clip.text, [*clip.codes, network.settings.stop_mel_token])
    ids, kinds, positions = (torch.from_numpy(x)[None] for x in (laid.ids, laid.kinds, laid.positions))
    languages = torch.full_like(ids, clip.language)
    hidden = network.hidden_states(clip.told, network.embed(ids, kinds, positions, languages))
    length = len(clip.text) + 2
    fx.compare(case, "text_logits", network.text_head(hidden[:, :length]))
    fx.compare(case, "mel_logits", network.mel_head(hidden[:, length:]))
    rows = network.lang_embedding.weight.clone()
    network.lang_embedding.weight.zero_()
    try:
        without = latents(network, clip.told, clip.text, clip.codes, clip.language)
        fx.compare(case, "latent_no_lang", without)
    finally:
        network.lang_embedding.weight.copy_(rows)


def named_clips(fx: Any, case: str, pattern: str) -> tuple[str, ...] | None:
    """Return the clips that the description of a case names; None if it names none."""
    found = re.search(pattern, fx.json["cases"][case]["what"])
    return found.groups() if found else None


def _check_emotions(fx: Any, clips: Mapping[str, Utterance]) -> None:
    pair = named_clips(fx, "merge_emotion", r"base from (clip\d+), emo from (clip\d+)")
    assert pair, "merge_emotion does not name its clips"
    base, emotion = (clips[name].emotion for name in pair)
    alphas = fx.inp("merge_emotion", "alphas")
    fx.compare("merge_emotion", "emo", torch.cat([interpolate_emotion(base, emotion, alpha) for alpha in alphas]))
    case, asked = "emotion_mix", fx.json["cases"]["emotion_mix"]["inputs"]
    pair = named_clips(fx, case, r"base = (clip\d+) emotion vector, style = (clip\d+) style")
    assert pair, "emotion_mix does not name its clips"
    base, style = clips[pair[0]].emotion, clips[pair[1]].style
    table = EmotionTable(fx.inp(case, "emo_matrix"), fx.inp(case, "spk_matrix"), tuple(asked["groups"]))
    fx.compare(case, "rows", table.nearest(style))
    fx.compare(case, "emo", table.mix(torch.tensor(asked["weights"]), base, style))


def _check_losses(fx: Any, network: StyleGPT, clips: list[Utterance]) -> None:
    rows = [(clip.told[0], make_row(network.settings, clip.text, clip.codes)) for clip in clips]
    languages = torch.tensor([clip.language for clip in clips])
    alone = []
    for row, language in zip(rows, languages, strict=True):
        with torch.no_grad():
            metrics = network(**batch_rows([row]), languages=language[None])["metrics"]
        alone.append([float(metrics[name][0] / metrics[name][1]) for name in ("text_loss", "semantic_loss")])
    fx.compare("loss", "per_clip", torch.tensor(alone))
    network.requires_grad_(True).zero_grad()
    result = network(**batch_rows(rows), languages=languages)
    result["loss"].backward()
    mean = {name: (value[0] / value[1])[None] for name, value in result["metrics"].items()}
    fx.compare("loss", "total", result["loss"].detach()[None])
    for output, metric in (("text_loss", "text_loss"), ("mel_loss", "semantic_loss"), ("mel_top1", "semantic_top1")):
        fx.compare("loss", output, mean[metric])
    gradients: dict[str, Any] = {name: parameter.grad for name, parameter in network.named_parameters()}
    gradients["lang_rows"] = network.lang_embedding.weight.grad[languages]
    network.requires_grad_(False)
    case = fx.json["cases"]["loss"]
    for output in case["outputs"]:
        if output.startswith("grad/"):
            fx.compare("loss", output, gradients[output.removeprefix("grad/")])
    for name, norm in case["gradient_l2"].items():
        assert float(gradients[name].norm()) == pytest.approx(norm, rel=case["gradient_rtol"]), name
    others = [row for row in range(network.settings.languages) if row not in languages.tolist()]
    assert not network.lang_embedding.weight.grad[others].any(), "a row of a language that nobody speaks has a gradient"


def _check_decoding(fx: Any, case: str, network: StyleGPT, clips: Mapping[str, Utterance]) -> None:
    described = [case, *(name for name, facts in fx.json["cases"].items() if "max_new" in facts["inputs"])]
    pairs = (named_clips(fx, name, r"language of (clip\d+), emotion vector of (clip\d+)") for name in described)
    speaker, emotional = next(pair for pair in pairs if pair)
    text = fx.inp(case, "text")[0].tolist()
    if "upstream_ids" in case:
        text = [number for number in text if number not in DROPPED_IDS]
    told = RELEASE.join(clips[speaker].style, clips[emotional].emotion)
    fx.compare(
        case, "codes", decoded_codes(network, told, text, clips[speaker].language, fx.json["cases"][case]["inputs"])
    )


def decoded_codes(
    network: StyleGPT, told: torch.Tensor, text: list[int], language: int, asked: Mapping[str, Any]
) -> torch.Tensor:
    """Return the codes of a case without chance, with the stop code if there is one: ``[1 x N]``."""
    sampling = CodeSampling(
        temperature=0, repetition_penalty=asked.get("repetition_penalty", 1.0), penalty_history="upstream",
        mel_pos_offset=asked["mel_pos_offset"], beams=asked.get("num_beams", 1),
        length_penalty=asked.get("length_penalty", 0.0),
    )  # fmt: skip
    stop = network.settings.stop_mel_token
    start = CodeDecoder(network, told, text, sampling.mel_pos_offset, sampling.beams, language)
    rules = DecodingRules(stop, asked["max_new"], sampling.history(network.settings, start.length))
    codes, stopped = (search_codes if sampling.beams > 1 else sample_codes)(start, sampling, rules, 0)
    return torch.tensor([codes + [stop] * stopped])


# The acoustic stage


@torch.no_grad()
def check_s2mel(fx: Any) -> None:
    """Compare frame counts, conditions and the flow."""
    network = S2Mel(S2MelSettings.read(fx.config, "the kit"), ())
    left_over = {"gpt_layer.0.weight": torch.ones(2, 2)}
    network = filled(network, {**fx.weights("s2mel"), **left_over}, network.unused)
    for case, facts in fx.json["cases"].items():
        inputs = {name: given(fx, case, name) for name in facts["inputs"]}
        (output,) = facts["outputs"]
        fx.compare(case, output, _acoustic_result(fx, network, inputs))


def _condition(network: S2Mel, features: torch.Tensor, frames: int) -> torch.Tensor:
    return network.condition(features, torch.tensor([frames]))


def _acoustic_result(fx: Any, network: S2Mel, inputs: dict[str, Any]) -> torch.Tensor:
    if "factors" in inputs:
        return torch.tensor([[target_frames(int(s), factor) for factor in inputs["factors"]] for s in inputs["S"]])
    if "frames" in inputs:
        return _condition(network, inputs["feat"], inputs["frames"])
    target = _condition(network, inputs["feat"], target_frames(inputs["feat"].shape[1], inputs["factor"]))
    if "noise" not in inputs:
        return target
    mel, noise = inputs["ref_mel"], inputs["noise"]
    mu = torch.cat([_condition(network, inputs["feat_ref"], mel.shape[-1]), target], dim=1)
    return network.flow(mu, mel, inputs["style"], noise, inputs["steps"], inputs["cfg_rate"])[..., mel.shape[-1] :]


# The whole chain


class Chain:
    """All parts of the end-to-end stage, as a base that the engine's own code takes."""

    def __init__(self, fx: Any) -> None:
        config = fx.config
        sizes = {key: v for key, v in config["w2vbert"].items() if key not in {"hidden_state_index", "padding_value"}}
        layers = config["w2vbert"]["hidden_state_index"]
        model = Wav2Vec2BertModel(Wav2Vec2BertConfig(**{**sizes, "num_hidden_layers": layers}))
        above = [f"encoder.layers.{layer}.*" for layer in range(layers, sizes["num_hidden_layers"])]
        filled(model, fx.weights("w2vbert"), tuple(above))
        statistics = fx.weights("w2v_stats")
        extractor = SeamlessM4TFeatureExtractor(padding_value=config["w2vbert"]["padding_value"])
        self.semantic = SemanticEncoder(model, statistics["mean"], statistics["var"], extractor)
        self.codec = codec_of(fx, config["codec"])
        self.network, self.conditioning_encoder = gpt_of(config["gpt"], fx.weights("gpt"))
        s2mel = S2Mel(S2MelSettings.read(config["s2mel"], "the kit"), ())
        self.s2mel = filled(s2mel, fx.weights("s2mel"), s2mel.unused)
        self.speaker_model = filled(CAMPPlus(**config.get("campplus", {})), fx.weights("campplus"))
        vocoder = BigVGAN(BigVGANSettings.read(config["bigvgan"], "the kit"))
        self.vocoder = filled(vocoder, fx.weights("bigvgan"), bigvgan.UNUSED_ENTRIES)
        self.frozen_device, self.release = CPU, RELEASE
        self.config = SimpleNamespace(mel=MelSettings(sample_rate=config["bigvgan"]["sampling_rate"]))


@torch.no_grad()
def check_chain(fx: Any, chain: Any) -> None:
    """Walk from a recording and a text to a waveform by the engine's own steps, and compare each of them."""
    config = fx.config
    for case, facts in fx.json["cases"].items():
        asked, reference = facts["inputs"], fx.inp(case, "ref_wav_22k")[0].numpy()
        rate = chain.config.mel.sample_rate
        features = extract_features(chain, reference, rate)
        prompt = extract_flow_prompt(chain, reference, rate, features)
        told = RELEASE.join(features.condition, features.emotion)
        language = int(fx.inp(case, "lang")[0])
        ids = [number for number in fx.inp(case, "text_ids")[0].tolist() if number not in DROPPED_IDS]
        for name, got in (
            ("feat", features.features), ("ref_mel", prompt.ref_mel), ("style", features.condition),
            ("prompt_condition", prompt.prompt_condition), ("emo", features.emotion),
            ("prefix", chain.network.prefix(told)),
        ):  # fmt: skip
            fx.compare(case, name, got)
        codes = decoded_codes(chain.network, told, ids, language, asked)
        fx.compare(case, "codes", codes)
        speaker = SpeakerPrompt(told, prompt, language)
        options: Any = SimpleNamespace(duration_factor=asked["duration_factor"])
        content = RELEASE.content(chain, chain.network, speaker, None, options)  # type: ignore[arg-type] # no voice
        stop = chain.network.settings.stop_mel_token
        decoded, frames = content(ids, [code for code in codes[0].tolist() if code != stop])
        fx.compare(case, "decoded", decoded)
        target = _condition(chain.s2mel, decoded, frames)
        fx.compare(case, "target_condition", target)
        mu, noise = torch.cat([prompt.prompt_condition, target], dim=1), fx.inp(case, "noise")
        mel = chain.s2mel.flow(mu, prompt.ref_mel, prompt.style, noise, config["flow_steps"], config["cfg_rate"])
        mel = mel[:, :, prompt.ref_mel.shape[-1] :]
        fx.compare(case, "mel", mel)
        fx.compare(case, "wav", chain.vocoder(mel)[:, 0])


# The text


class Replay:
    """Answers as the kit's text engine did, and refuses another question."""

    name, version, identity = "replay", "1", "replay 1"

    def __init__(self, case: Mapping[str, Any]) -> None:
        self.case = case

    def normalise(self, text: str, language: str) -> str:
        """Return the kit's answer."""
        assert (language, text) == (self.case.get("engine"), self.case.get("tn_input")), self.case["id"]
        return str(self.case["tn_output"])


def replaying(case: Mapping[str, Any]) -> Engines:
    """Return text engines that answer as the kit's did."""

    def replay(asked: str, answered: str) -> Callable[[str], str]:
        def answer(text: str) -> str:
            assert text == case.get(asked), f"{case['id']} {asked}"
            return str(case[answered])

        return answer

    return Engines(Replay(case), replay("tn_input", "tn_output"), replay("words_input", "words_output"))


def check_text(fx: Any, make_engines: Callable[[Mapping[str, Any]], Engines] = replaying) -> None:
    """Compare each step of the front end with each text of the kit."""
    encoder = load_encoder(fx.dir / fx.json["tokenizer"], fx.json["n_ranks"] + fx.json["n_special"])
    places = fx.json.get("text_positions", 602) - 2
    for case in fx.json["cases"]:
        front = MultilingualFrontend(encoder, make_engines(case), max_text_tokens=places, upstream=True)
        tag = case["lang"]
        final = front.final(case["text"], tag, numbers=case["text_normalization"])
        cuts = {limit: front.segments(final, tag, int(limit)) for limit in case["segments"]}
        got = {
            "cleaned": front.clean(case["text"]), "final": final, "prefix": prefix_of(tag), "lang_id": front.row(tag),
            "ids": front.encode(final, tag),
            "segments": {
                limit: {"texts": texts, "ids": [front.encode(text, tag) for text in texts]}
                for limit, texts in cuts.items()
            },
        }  # fmt: skip
        wrong = [
            f"{case['id']} {key}: {value!r} is not {case[key]!r}" for key, value in got.items() if value != case[key]
        ]
        assert not wrong, "\n".join(wrong)
