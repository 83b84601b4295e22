"""The names of one network's tensors: those of vtune, and those of the published ONNX files."""

from __future__ import annotations

import re

ACOUSTIC, PROSODY = "m.", "pn."
"""Beginnings of names in the file: the acoustic model, and the prosody network."""

_PARTS = (
    ("acoustic_encoder.", "m.text."),
    ("prosody_encoder.", "pn.text."),
    ("duration_predictor.conv_in.", "pn.dur.0."),
    ("duration_predictor.conv_out.", "pn.dur.2."),
    ("prosody_predictor.conv_in.", "pn.pro_in."),
    ("prosody_predictor.conv_out.", "pn.pro_out."),
    ("prosody_predictor.blocks.", "pn.pro."),
    ("decoder.conv_in.", "m.dec_in."),
    ("decoder.blocks.", "m.dec."),
    ("decoder.norm.", "m.dec_norm."),
    ("decoder.head.", "m.head."),
)

_BLOCK = ((r"\.scale$", ".gamma"), (r"\.depthwise\.", ".dw."), (r"\.expand\.", ".pw1."), (r"\.project\.", ".pw2."))

_ENCODER = (
    (r"\.embed\.", ".emb."),
    (r"\.layer\.attention\.in_proj\.", ".attn.self_attn.in_proj_"),
    (r"\.layer\.attention\.out_proj\.", ".attn.self_attn.out_proj."),
    (r"\.layer\.expand\.", ".attn.linear1."),
    (r"\.layer\.project\.", ".attn.linear2."),
    (r"\.layer\.", ".attn."),
    (r"\.blocks\.", ".convs."),
)


def name_in_file(name: str) -> str:
    """Return the name that a tensor of the network has in a published file.

    ``decoder.blocks.3.expand.weight`` is ``m.dec.3.pw1.weight``; ``prosody_encoder.layer.attention.in_proj.bias`` is
    ``pn.text.attn.self_attn.in_proj_bias``.
    """
    own, foreign = next(pair for pair in _PARTS if name.startswith(pair[0]))
    for pattern, replacement in (*_ENCODER, *_BLOCK) if own.endswith("encoder.") else _BLOCK:
        name = re.sub(pattern, replacement, name)
    return foreign + name.removeprefix(own)
