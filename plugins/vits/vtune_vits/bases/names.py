"""The names of one network's tensors: those of transformers, which vtune uses, and those of Piper's files.

Piper keeps the names of the network's first publication (arXiv 2106.06103). There every second flow only exchanges
channels and has no tensors, so flow 3 of transformers is flow 6 of Piper's ``flow`` and flow 5 of its ``dp``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch

from vtune_vits.network.settings import VitsSettings

WITHOUT_POSTERIOR = ("posterior_encoder.",)
"""Beginnings of names in the network that serve only to learn from recordings."""

WITHOUT_DURATION_POSTERIOR = (
    "duration_predictor.flows.1.",
    "duration_predictor.post_conv_pre.",
    "duration_predictor.post_conv_proj.",
    "duration_predictor.post_conv_dds.",
    "duration_predictor.post_flows.",
)
"""Beginnings of names in the network that serve only to learn durations; the first is a flow that no duration uses."""

_PARTS = {
    "text_encoder": "enc_p",
    "duration_predictor": "dp",
    "decoder": "dec",
    "posterior_encoder": "enc_q",
    "embed_speaker": "emb_g",
    "flow": "flow",
}

_TEXT_ENCODER = (
    (r"^embed_tokens\b", "emb"),
    (r"^project\b", "proj"),
    (r"^encoder\.layers\.(\d+)\.attention\.emb_rel_", r"encoder.attn_layers.\1.emb_rel_"),
    (r"^encoder\.layers\.(\d+)\.attention\.out_proj\b", r"encoder.attn_layers.\1.conv_o"),
    (r"^encoder\.layers\.(\d+)\.attention\.([qkv])_proj\b", r"encoder.attn_layers.\1.conv_\2"),
    (r"^encoder\.layers\.(\d+)\.layer_norm\b", r"encoder.norm_layers_1.\1"),
    (r"^encoder\.layers\.(\d+)\.final_layer_norm\b", r"encoder.norm_layers_2.\1"),
    (r"^encoder\.layers\.(\d+)\.feed_forward\b", r"encoder.ffn_layers.\1"),
)

_WAVENETS = ((r"\bconv_pre\b", "pre"), (r"\bconv_post\b", "post"), (r"\bconv_proj\b", "proj"), (r"\bwavenet\b", "enc"))

_DURATIONS = (
    (r"\btranslate$", "m"),
    (r"\blog_scale$", "logs"),
    (r"\bconvs_dilated\b", "convs_sep"),
    (r"\bconvs_pointwise\b", "convs_1x1"),
    (r"\b(post_)?conv_pre\b", r"\1pre"),
    (r"\b(post_)?conv_proj\b", r"\1proj"),
    (r"\b(post_)?conv_dds\b", r"\1convs"),
)

_RULES = {
    "text_encoder": _TEXT_ENCODER,
    "duration_predictor": _DURATIONS,
    "flow": _WAVENETS,
    "posterior_encoder": _WAVENETS,
    "decoder": ((r"^upsampler\b", "ups"),),
    "embed_speaker": (),
}


def piper_name(name: str) -> str:
    """Return the name that a tensor of the network has in a Piper checkpoint, without the prefix ``model_g.``.

    ``decoder.upsampler.0.weight`` is ``dec.ups.0.weight``; ``flow.flows.3.conv_pre.bias`` is ``flow.flows.6.pre.bias``.
    """
    part, _, rest = name.partition(".")
    for pattern, replacement in _RULES[part]:
        rest = re.sub(pattern, replacement, rest)
    if part == "flow":
        rest = re.sub(r"^flows\.(\d+)", lambda match: f"flows.{2 * int(match[1])}", rest)
    if part == "duration_predictor":
        rest = re.sub(r"^(post_)?flows\.([1-9]\d*)", lambda m: f"{m[1] or ''}flows.{2 * int(m[2]) - 1}", rest)
    if re.search(r"\bnorms?_(layers_)?[12]\b", rest):
        rest = re.sub(r"\bweight$", "gamma", re.sub(r"\bbias$", "beta", rest))
    return f"{_PARTS[part]}.{rest}"


def same_name(name: str) -> str:
    """Return the name that a tensor of the network has in a model of transformers: the same."""
    return name


def fold_weight_normalisation(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Replace each pair of a scale g and a direction v by the weight ``g v / |v|``; the norm is over all axes but 0.

    The pair is named ``weight_g`` and ``weight_v``, or ``parametrizations.weight.original0`` and ``original1``.
    """
    folded: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        for scale_ending, direction_ending in _PAIRS:
            if name.endswith(scale_ending) and (other := name.removesuffix(scale_ending) + direction_ending) in tensors:
                direction = tensors[other].float()
                norm = direction.flatten(1).norm(dim=1).view(-1, *[1] * (direction.ndim - 1))
                if tensor.numel() == norm.numel():
                    folded[name.removesuffix(scale_ending) + "weight"] = direction * (tensor.view_as(norm) / norm)
                break
            if name.endswith(direction_ending) and name.removesuffix(direction_ending) + scale_ending in tensors:
                break
        else:
            folded[name] = tensor
    return folded


_PAIRS = (
    ("weight_g", "weight_v"),
    ("parametrizations.weight.original0", "parametrizations.weight.original1"),
)


def absent_names(settings: VitsSettings, *, posterior: bool, duration_posterior: bool) -> tuple[str, ...]:
    """Return the beginnings of names in the network that a base may lack.

    :param posterior: the base has the posterior encoder.
    :param duration_posterior: the base has what the durations are learned with.
    """
    absent: tuple[str, ...] = () if posterior else WITHOUT_POSTERIOR
    if settings.stochastic_durations and not duration_posterior:
        absent += WITHOUT_DURATION_POSTERIOR
    return absent
