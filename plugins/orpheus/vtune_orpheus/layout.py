"""Where things stand in the vocabulary, and SNAC's three code levels as one row of tokens.

Everything is derived from the tokenizer's own names and the codec's configuration, so a small checkpoint with small
codebooks works unchanged. Tokens ``<custom_token_i>`` follow each other; 1 to 7 mark places in the sequence, sound
begins at 10, and token ``10 + slot * codebook + code`` says ``code`` in one of 7 slots.

Source: the Orpheus release (canopyai/Orpheus-TTS) and the token list confirmed in its issue 37.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch

from vtune import EngineError

SLOTS = 7
"""Tokens a frame: one coarse code, two middle ones, four fine ones."""

# Level and place within the frame of each slot: the tree of codes, walked depth first.
_TREE = ((0, 0), (1, 0), (2, 0), (2, 1), (1, 1), (2, 2), (2, 3))
_PER_FRAME = (1, 2, 4)
_AUDIO_AT = 10


@dataclass(frozen=True, slots=True)
class Layout:
    """Token ids. ``audio`` is the first sound token; there are ``7 * codebook`` of them."""

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
        """One past the last sound token."""
        return self.audio + SLOTS * self.codebook

    def slot_range(self, slot: int) -> tuple[int, int]:
        """First id of a slot's codes, and one past the last."""
        start = self.audio + slot * self.codebook
        return start, start + self.codebook

    def allowed(self, spoken: int) -> tuple[range, bool]:
        """Return which codes may follow so many sound tokens, and whether the end of speech may.

        It may where a frame is whole. A first frame must come before it: no utterance is empty.
        """
        return range(*self.slot_range(spoken % SLOTS)), spoken > 0 and spoken % SLOTS == 0

    def settings(self) -> dict[str, int]:
        """Return plain data."""
        return asdict(self)

    def interleave(self, codes: list[torch.Tensor]) -> torch.Tensor:
        """Lay three code levels out as tokens, 7 a frame.

        :param codes: int64 ``[1, T]``, ``[1, 2T]``, ``[1, 4T]``; T frames of 2048 samples at 24 kHz.
        :returns: int64 ``[7 * T]``.
        :raises ValueError: the levels do not stand 1 : 2 : 4, or a code is outside the codebook.
        """
        frames = codes[0].shape[-1]
        if [level.shape[-1] for level in codes] != [frames * count for count in _PER_FRAME]:
            raise ValueError(f"code levels of lengths {[level.shape[-1] for level in codes]} do not stand 1 : 2 : 4")
        if any(level.numel() and (level.min() < 0 or level.max() >= self.codebook) for level in codes):
            raise ValueError(f"codes reach beyond the codebook of {self.codebook}")
        columns = [codes[level].reshape(frames, _PER_FRAME[level])[:, place] for level, place in _TREE]
        offsets = torch.arange(SLOTS, device=codes[0].device) * self.codebook + self.audio
        return (torch.stack(columns, dim=1) + offsets).reshape(-1)

    def deinterleave(self, tokens: torch.Tensor) -> list[torch.Tensor]:
        """Undo ``interleave``: int64 ``[7 * T]`` to ``[1, T]``, ``[1, 2T]``, ``[1, 4T]``.

        :raises ValueError: not whole frames, or a token does not belong into its slot.
        """
        if len(tokens) % SLOTS:
            raise ValueError(f"{len(tokens)} tokens are no whole frames of {SLOTS}")
        offsets = torch.arange(SLOTS, device=tokens.device) * self.codebook + self.audio
        codes = tokens.reshape(-1, SLOTS) - offsets  # (T, 7)
        if codes.numel() and (codes.min() < 0 or codes.max() >= self.codebook):
            raise ValueError("a token stands in a slot that it does not belong to")
        levels: list[list[torch.Tensor]] = [[], [], []]
        for slot, (level, _) in enumerate(_TREE):
            levels[level].append(codes[:, slot])
        return [torch.stack(columns, dim=1).reshape(1, -1) for columns in levels]

    def drop_repeats(self, tokens: torch.Tensor) -> torch.Tensor:
        """Drop each frame whose first token is that of the frame kept before it; int64 ``[7 * T]`` to ``[7 * T']``."""
        frames = tokens.reshape(-1, SLOTS)
        if not len(frames):
            return tokens
        # Against the frame kept before is the same as against the frame before: dropped ones are equal to it.
        keep = torch.ones(len(frames), dtype=torch.bool)
        keep[1:] = frames[1:, 0] != frames[:-1, 0]
        return frames[keep].reshape(-1)


def derive_layout(tokenizer: Any, codec_config: dict[str, Any], vocabulary: int, name: str) -> Layout:
    """Read the layout off the parts of a checkpoint.

    :param codec_config: SNAC's ``config.json``.
    :param vocabulary: rows of the network's embedding.
    :param name: of the checkpoint, for errors.
    :raises EngineError: the parts do not belong together; says which and how.
    """
    strides = list(codec_config.get("vq_strides", []))
    if strides != [4, 2, 1]:
        raise EngineError(f"{name}: the codec has strides {strides}; Orpheus needs SNAC's [4, 2, 1] (24 kHz)")
    codebook = int(codec_config["codebook_size"])
    special = {token: tokenizer.convert_tokens_to_ids(token) for token in ("<|eot_id|>", *map(_custom, range(1, 11)))}
    last_name = _custom(_AUDIO_AT + SLOTS * codebook - 1)
    special[last_name] = tokenizer.convert_tokens_to_ids(last_name)
    missing = [token for token, number in special.items() if number is None or number == tokenizer.unk_token_id]
    if missing or tokenizer.bos_token_id is None:
        lacks = ", ".join(missing) or "a begin-of-text token"
        raise EngineError(f"{name}: the tokenizer lacks {lacks}; it is not an Orpheus tokenizer for this codec")
    audio = special[_custom(_AUDIO_AT)]
    if special[last_name] != audio + SLOTS * codebook - 1:
        raise EngineError(f"{name}: the tokenizer's sound tokens do not follow each other")
    if special[last_name] >= vocabulary:
        raise EngineError(
            f"{name}: the network has {vocabulary} tokens, but the codec's codebook of {codebook} needs "
            f"{special[last_name] + 1}; network, tokenizer and codec do not belong together"
        )
    return Layout(
        begin_of_text=tokenizer.bos_token_id,
        end_of_text=special["<|eot_id|>"],
        start_of_speech=special[_custom(1)],
        end_of_speech=special[_custom(2)],
        start_of_human=special[_custom(3)],
        end_of_human=special[_custom(4)],
        start_of_ai=special[_custom(5)],
        end_of_ai=special[_custom(6)],
        pad=special[_custom(7)],
        audio=audio,
        codebook=codebook,
    )


def _custom(number: int) -> str:
    return f"<custom_token_{number}>"
