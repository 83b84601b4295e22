"""IndexTTS-2: 32 latents for the speaker, 50 codes a second, and the GPT's latents in what the flow speaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from vtune import EngineError, Waveform
from vtune_indextts2 import part_loaders
from vtune_indextts2.gpt.code_decoder import latents
from vtune_indextts2.gpt.conditioning import ConditioningEncoder
from vtune_indextts2.multilingual.languages import AUTO
from vtune_indextts2.recording_tensors import FlowPrompt, RecordingFeatures
from vtune_indextts2.releases.interface import Content, Release, Shape
from vtune_indextts2.s2mel.length_regulator import target_frames
from vtune_indextts2.speaker_reference import SpeakerPrompt, code_embeddings_of
from vtune_indextts2.text.frontend import Frontend
from vtune_indextts2.text.glossary import read_glossary
from vtune_indextts2.text.normalisers import choose_engine

if TYPE_CHECKING:
    from vtune import Conditioning
    from vtune_indextts2.base import IndexTTS2Base
    from vtune_indextts2.config import Config
    from vtune_indextts2.gpt.network import SemanticGPT
    from vtune_indextts2.options import IndexTTS2Options
    from vtune_indextts2.semantic.codec import SemanticCodec

LANGUAGES = (AUTO, "en", "zh")
"""Values of the option ``language``; each text is read in the language that it is in."""


class IndexTTS20(Release):
    """The first release of IndexTTS2."""

    stored_speaker = "condition"
    averaged = ("style", "condition", "emotion")

    def check(self, options: IndexTTS2Options) -> None:
        """Check that nothing is asked for that only IndexTTS-2.5 has."""
        if options.language not in LANGUAGES:
            raise EngineError(
                f"language is {options.language!r}, but IndexTTS-2 speaks English and Chinese; use a base of "
                "IndexTTS-2.5 for further languages"
            )
        if options.duration_factor != 1:
            raise EngineError(
                f"duration_factor is {options.duration_factor:g}, but only IndexTTS-2.5 can speak faster or slower; "
                "leave it at 1 or use a base of IndexTTS-2.5"
            )
        if options.upstream_text:
            raise EngineError("upstream_text is of IndexTTS-2.5; IndexTTS-2 has no such option, so leave it out")

    def load_codec(self, base: IndexTTS2Base) -> SemanticCodec:
        """Load the codec of MaskGCT, without its decoder."""
        return part_loaders.load_codec(base.files.codec, base.config)

    def make_text(self, base: IndexTTS2Base) -> Frontend:
        """Create the front end with its SentencePiece model."""
        glossary = read_glossary(base.options.glossary) if base.options.glossary else None
        return Frontend(base.files.load_tokenizer(), choose_engine(base.options.normaliser), glossary)

    def fingerprint(self, base: IndexTTS2Base) -> dict[str, str]:
        """Return nothing more: voices of IndexTTS-2 that exist do not name their release."""
        return {}

    def encode_recording(
        self, base: IndexTTS2Base, features: torch.Tensor, waveform: Waveform, sample_rate: int
    ) -> RecordingFeatures:
        """Quantise the features; the speaker is 32 latents of them."""
        codes, embedding = base.codec.quantize(features)
        encoder = base.conditioning_encoder
        assert isinstance(encoder, ConditioningEncoder)
        return RecordingFeatures(features, codes, embedding, encoder.speaker(features), encoder.emotion(features))

    def join(self, condition: torch.Tensor, emotion: torch.Tensor) -> torch.Tensor:
        """Add the emotion to each of the speaker's latents: ``[... x 32 x D]``."""
        return condition + emotion.unsqueeze(-2)

    def voice_tensors(
        self, base: IndexTTS2Base, features: RecordingFeatures, flow_prompt: FlowPrompt
    ) -> Mapping[str, torch.Tensor]:
        """Return the speaker's latents and the codec's embeddings.

        - ``condition`` ``[1 x 32 x D]``: speaker latents.
        - ``ref_codes``, int64 ``[1 x T]``: the codes of the reference.
        - ``codebook`` ``[K x 8]``, ``codebook_weight`` ``[H x 8]`` and ``codebook_bias`` ``[H]``: the codec's
          embeddings, with which the voice speaks without w2v-BERT, codec and CAMPPlus.
        """
        quantizer = base.codec.quantizer.only
        return {
            "condition": features.condition,
            "ref_codes": features.codes,
            "codebook": quantizer.codebook.weight,
            "codebook_weight": quantizer.out_project.weight[:, :, 0],
            "codebook_bias": quantizer.out_project.bias,  # type: ignore[dict-item] # a convolution with a bias
        }

    def stored_shapes(self, config: Config) -> dict[str, Shape]:
        """Return the shapes of what speaking reads."""
        codec = config.semantic_codec
        return {
            "condition": (1, None, config.gpt.model_dim),
            "codebook": (codec.codebook_size, codec.codebook_dim),
            "codebook_weight": (codec.hidden_size, codec.codebook_dim),
            "codebook_bias": (codec.hidden_size,),
        }

    def content(
        self, base: IndexTTS2Base, network: SemanticGPT, speaker: SpeakerPrompt, voice: Conditioning,
        options: IndexTTS2Options,
    ) -> Content:  # fmt: skip
        """Return the sum of the codes' embeddings and the GPT's projected latents, from a second pass of the GPT."""
        table, told = code_embeddings_of(base, voice), speaker.conditioning.to(network.mel_embedding.weight.device)

        def of_segment(ids: Sequence[int], codes: Sequence[int]) -> tuple[torch.Tensor, int]:
            hidden = latents(network, told, ids, codes).float().to(base.frozen_device)
            embedded = table.lookup(torch.tensor([codes], device=base.frozen_device))
            return embedded + base.s2mel.project(hidden), target_frames(len(codes))

        return of_segment
