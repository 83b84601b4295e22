"""The token ids of an Orpheus vocabulary, and the conversion between SNAC's three code levels and one row of tokens.

All ids are derived from the tokenizer's own names and the codec's configuration, so a small checkpoint with small
codebooks works unchanged. The ids of the tokens ``<custom_token_i>`` are consecutive: 1 to 7 are marks of the sequence,
and from 10 on, ``<custom_token_(10 + slot * codebook + code)>`` stands for ``code`` in one of the 7 slots of a frame.

Source: the Orpheus release (canopyai/Orpheus-TTS) and the token list confirmed in its issue 37.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch

from vtune import EngineError

SLOTS = 7
"""Tokens in a frame: one coarse code, two middle codes, four fine codes."""

# For each slot, its level and its index in the frame: the tree of codes, depth first.
_SLOT_LEVELS = ((0, 0), (1, 0), (2, 0), (2, 1), (1, 1), (2, 2), (2, 3))
_CODES_PER_FRAME = (1, 2, 4)
_FIRST_SOUND_TOKEN = 10


@dataclass(frozen=True, slots=True)
class Layout:
    """Token ids. ``audio`` is the first sound token; there are ``7 * codebook`` sound tokens."""

    begin_of_text: int
    end_of_text: int
    start_of_speech: int
    end_of_speech: int
    start_of_human: int
    end_of_human: int
    start_of_ai: int
    end_of_ai: int
    pad: int
    audio: int
    codebook: int

    @property
    def audio_end(self) -> int:
        """The id after the last sound token."""
        return self.audio + SLOTS * self.codebook

    def slot_range(self, slot: int) -> tuple[int, int]:
        """Return the first id of a slot's codes, and the id after the last one."""
        start = self.audio + slot * self.codebook
        return start, start + self.codebook

    def allowed(self, token_count: int) -> tuple[range, bool]:
        """Return the ids that may follow after ``token_count`` sound tokens, and whether the end of speech may follow.

        The end of speech may follow after every whole frame, but not at the beginning: no utterance is empty.
        """
        return range(*self.slot_range(token_count % SLOTS)), token_count > 0 and token_count % SLOTS == 0

    def settings(self) -> dict[str, int]:
        """Return the ids as plain data."""
        return asdict(self)

    def interleave(self, codes: list[torch.Tensor]) -> torch.Tensor:
        """Turn three code levels into one row of tokens, 7 for each frame.

        One frame has a coarse code ``a``, middle codes ``b0 b1`` and fine codes ``c0 c1 c2 c3``. Its tokens, without
        their offsets, are ``a b0 c0 c1 b1 c2 c3``.

        :param codes: int64 ``[1 x T]``, ``[1 x 2T]`` and ``[1 x 4T]``, for T frames of 2048 samples at 24 kHz.
        :returns: int64 ``[7*T]``.
        :raises ValueError: the lengths of the levels are not 1 : 2 : 4, or a code is outside the codebook.
        """
        frames = codes[0].shape[-1]
        if [level.shape[-1] for level in codes] != [frames * count for count in _CODES_PER_FRAME]:
            raise ValueError(f"code levels of lengths {[level.shape[-1] for level in codes]} are not 1 : 2 : 4")
        if any(level.numel() and (level.min() < 0 or level.max() >= self.codebook) for level in codes):
            raise ValueError(f"codes reach beyond the codebook of {self.codebook}")
        columns = [codes[level].reshape(frames, _CODES_PER_FRAME[level])[:, index] for level, index in _SLOT_LEVELS]
        offsets = torch.arange(SLOTS, device=codes[0].device) * self.codebook + self.audio
        return (torch.stack(columns, dim=1) + offsets).reshape(-1)

    def deinterleave(self, tokens: torch.Tensor) -> list[torch.Tensor]:
        """Turn tokens back into code levels: int64 ``[7*T]`` to ``[1 x T]``, ``[1 x 2T]`` and ``[1 x 4T]``.

        :raises ValueError: the last frame is not whole, or a token is not one of its slot's codes.
        """
        if len(tokens) % SLOTS:
            raise ValueError(f"{len(tokens)} tokens are not whole frames of {SLOTS} tokens")
        offsets = torch.arange(SLOTS, device=tokens.device) * self.codebook + self.audio
        codes = tokens.reshape(-1, SLOTS) - offsets  # [T x 7]
        if codes.numel() and (codes.min() < 0 or codes.max() >= self.codebook):
            raise ValueError("a token is not one of its slot's codes")
        levels: list[list[torch.Tensor]] = [[], [], []]
        for slot, (level, _) in enumerate(_SLOT_LEVELS):
            levels[level].append(codes[:, slot])
        return [torch.stack(columns, dim=1).reshape(1, -1) for columns in levels]

    def drop_repeats(self, tokens: torch.Tensor) -> torch.Tensor:
        """Drop each frame whose first token equals that of the frame before it: int64 ``[7*T]`` to ``[7*T']``."""
        frames = tokens.reshape(-1, SLOTS)
        if not len(frames):
            return tokens
        # Comparing with the last kept frame gives the same: the dropped frames in between have the same first token.
        keep = torch.ones(len(frames), dtype=torch.bool)
        keep[1:] = frames[1:, 0] != frames[:-1, 0]
        return frames[keep].reshape(-1)


def derive_layout(tokenizer: Any, codec_config: dict[str, Any], vocabulary: int, name: str) -> Layout:
    """Derive the layout from the parts of a checkpoint.

    :param codec_config: SNAC's ``config.json``.
    :param vocabulary: the number of rows of the network's embedding.
    :param name: the checkpoint's name, for errors.
    :raises EngineError: the parts do not belong together; the message names them.
    """
    strides = list(codec_config.get("vq_strides", []))
    if strides != [4, 2, 1]:
        raise EngineError(f"{name}: the codec has strides {strides}; Orpheus needs SNAC's [4, 2, 1] (24 kHz)")
    codebook = int(codec_config["codebook_size"])
    special = {
        token: tokenizer.convert_tokens_to_ids(token) for token in ("<|eot_id|>", *map(_custom_token, range(1, 11)))
    }
    last_name = _custom_token(_FIRST_SOUND_TOKEN + SLOTS * codebook - 1)
    special[last_name] = tokenizer.convert_tokens_to_ids(last_name)
    missing = [token for token, number in special.items() if number is None or number == tokenizer.unk_token_id]
    if missing or tokenizer.bos_token_id is None:
        lacks = ", ".join(missing) or "a begin-of-text token"
        raise EngineError(f"{name}: the tokenizer lacks {lacks}; it is not an Orpheus tokenizer for this codec")
    audio = special[_custom_token(_FIRST_SOUND_TOKEN)]
    if special[last_name] != audio + SLOTS * codebook - 1:
        raise EngineError(f"{name}: the ids of the tokenizer's sound tokens are not consecutive")
    if special[last_name] >= vocabulary:
        raise EngineError(
            f"{name}: the network has {vocabulary} tokens, but the codec's codebook of {codebook} needs "
            f"{special[last_name] + 1}; network, tokenizer and codec do not belong together"
        )
    return Layout(
        begin_of_text=tokenizer.bos_token_id,
        end_of_text=special["<|eot_id|>"],
        start_of_speech=special[_custom_token(1)],
        end_of_speech=special[_custom_token(2)],
        start_of_human=special[_custom_token(3)],
        end_of_human=special[_custom_token(4)],
        start_of_ai=special[_custom_token(5)],
        end_of_ai=special[_custom_token(6)],
        pad=special[_custom_token(7)],
        audio=audio,
        codebook=codebook,
    )


def _custom_token(number: int) -> str:
    return f"<custom_token_{number}>"
