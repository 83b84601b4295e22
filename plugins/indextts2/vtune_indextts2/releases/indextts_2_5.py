"""IndexTTS-2.5: a projected style for the speaker, a row for the language, 25 codes a second, decoded by the codec."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import torch

from vtune import Waveform
from vtune.toolkit import hash_file
from vtune_indextts2 import part_loaders
from vtune_indextts2.multilingual.frontend import Engines, MultilingualFrontend
from vtune_indextts2.multilingual.languages import AUTO, TRAINED_TAGS
from vtune_indextts2.multilingual.tokens import load_encoder
from vtune_indextts2.recording_features import speaker_style
from vtune_indextts2.recording_tensors import FlowPrompt, RecordingFeatures
from vtune_indextts2.releases.interface import Content, Release, Shape
from vtune_indextts2.s2mel.length_regulator import target_frames
from vtune_indextts2.semantic.half_rate_codec import HalfRateCodec
from vtune_indextts2.speaker_reference import SpeakerPrompt
from vtune_indextts2.text.glossary import read_glossary
from vtune_indextts2.text.normalisers import choose_engine

if TYPE_CHECKING:
    from vtune import Conditioning
    from vtune_indextts2.base import IndexTTS2Base
    from vtune_indextts2.config import Config
    from vtune_indextts2.gpt.network import SemanticGPT
    from vtune_indextts2.options import IndexTTS2Options
    from vtune_indextts2.semantic.codec import SemanticCodec

logger = logging.getLogger(__name__)


class IndexTTS25(Release):
    """The second release of IndexTTS2."""

    stored_speaker = "style"
    averaged = ("style", "emotion")

    def check(self, options: IndexTTS2Options) -> None:
        """Warn of a language that the release does not name as its own."""
        if options.language not in (AUTO, *TRAINED_TAGS):
            _warn_of_language(options.language)

    def load_codec(self, base: IndexTTS2Base) -> SemanticCodec:
        """Load the checkpoint's own codec, with its decoder."""
        return part_loaders.load_half_rate_codec(base.files.codec, base.config)

    def make_text(self, base: IndexTTS2Base) -> MultilingualFrontend:
        """Create the front end with its byte-pair vocabulary."""
        gpt, options = base.config.gpt, base.options
        glossary = read_glossary(options.glossary) if options.glossary else None
        return MultilingualFrontend(
            load_encoder(base.files.tokenizer, gpt.number_text_tokens),
            Engines(choose_engine(options.normaliser)),
            glossary,
            max_text_tokens=gpt.max_text_tokens,
            upstream=options.upstream_text,
        )

    def fingerprint(self, base: IndexTTS2Base) -> dict[str, str]:
        """Return the release, and a hash of the codec, whose decoder speaks."""
        return {"release": base.config.title, "codec": hash_file(base.files.codec)}

    def encode_recording(
        self, base: IndexTTS2Base, features: torch.Tensor, waveform: Waveform, sample_rate: int
    ) -> RecordingFeatures:
        """Quantise the features at half their rate; the speaker is the style of the sound, not normalised."""
        codes, _ = base.codec.quantize(features)
        style = speaker_style(base, waveform, sample_rate)
        return RecordingFeatures(features, codes, features, style, base.conditioning_encoder.emotion(features))

    def join(self, condition: torch.Tensor, emotion: torch.Tensor) -> torch.Tensor:
        """Put style and emotion side by side, because the network projects the style: ``[... x (S + D)]``."""
        return torch.cat([condition, emotion], dim=-1)

    def voice_tensors(
        self, base: IndexTTS2Base, features: RecordingFeatures, flow_prompt: FlowPrompt
    ) -> Mapping[str, torch.Tensor]:
        """Return nothing more: the style is the speaker, and the codec of the checkpoint decodes."""
        return {}

    def stored_shapes(self, config: Config) -> dict[str, Shape]:
        """Return nothing more."""
        return {}

    def content(
        self, base: IndexTTS2Base, network: SemanticGPT, speaker: SpeakerPrompt, voice: Conditioning,
        options: IndexTTS2Options,
    ) -> Content:  # fmt: skip
        """Return the codec's features of the codes; the GPT has no second pass."""

        def of_segment(ids: Sequence[int], codes: Sequence[int]) -> tuple[torch.Tensor, int]:
            codec = base.codec
            assert isinstance(codec, HalfRateCodec)
            with torch.no_grad():
                decoded = codec.decode(torch.tensor([codes], device=base.frozen_device))
            return decoded, target_frames(decoded.shape[1], options.duration_factor)

        return of_segment


@lru_cache(maxsize=1)
def _warn_of_language(tag: str) -> None:
    logger.warning(
        "IndexTTS-2.5 was released for %s; whether its row for %r was trained is not known: listen before you trust it",
        ", ".join(TRAINED_TAGS),
        tag,
    )
