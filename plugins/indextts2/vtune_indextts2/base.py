"""The engine's state: the parts of one checkpoint, each loaded on first use."""

from __future__ import annotations

from functools import cached_property
from hashlib import sha256
from pathlib import Path

import torch

from vtune import EngineError
from vtune.toolkit import hash_file
from vtune_indextts2 import parts
from vtune_indextts2.config import SEMANTIC_RATE, Config
from vtune_indextts2.files import Files
from vtune_indextts2.gpt.conditioning import ConditioningEncoder
from vtune_indextts2.gpt.emotion import EmotionTable
from vtune_indextts2.gpt.network import SemanticGPT
from vtune_indextts2.listening import Heard, Portrait
from vtune_indextts2.options import IndexTTS2Options
from vtune_indextts2.s2mel.network import S2Mel
from vtune_indextts2.semantic.codec import SemanticCodec
from vtune_indextts2.semantic.features import SemanticEncoder
from vtune_indextts2.speaker.campplus import CAMPPlus
from vtune_indextts2.text.engines import choose_engine
from vtune_indextts2.text.frontend import Frontend
from vtune_indextts2.text.glossary import read_glossary
from vtune_indextts2.text.tokens import load_tokenizer
from vtune_indextts2.vocoder.bigvgan import BigVGAN

_LISTENING = ("semantic", "codec", "conditioning_encoder", "speaker_model")


class IndexTTS2Base:
    """One checkpoint. ``device`` and ``dtype`` are the GPT's; every other part is float32, on ``frozen_device``."""

    def __init__(self, options: IndexTTS2Options, device: torch.device, dtype: torch.dtype) -> None:
        self.options = options
        self.device = device
        self.dtype = dtype
        self.frozen_device = device if options.frozen_device == "auto" else torch.device("cpu")
        self.files = Files(options)
        self.semantic_rate = SEMANTIC_RATE
        self.heard_recordings: dict[tuple[str, int, float], tuple[Heard, Portrait]] = {}

    @property
    def config(self) -> Config:
        """What ``config.yaml`` says."""
        return self.files.config

    @cached_property
    def frontend(self) -> Frontend:
        """Texts to ids."""
        tokenizer = load_tokenizer(self.files.tokenizer, self.config.gpt.number_text_tokens)
        glossary = read_glossary(self.options.glossary) if self.options.glossary else None
        return Frontend(tokenizer, choose_engine(self.options.normaliser), glossary)

    @cached_property
    def semantic(self) -> SemanticEncoder:
        """Sound to semantic features. :raises EngineError: they are of another width than the GPT's."""
        width, layers = self.config.gpt.feature_dim, self.config.semantic_layers
        encoder = SemanticEncoder.load(
            self.files.semantic_model, self.files.statistics, layers=layers, device=self.frozen_device
        )
        if encoder.width != width:
            raise EngineError(f"{self.files.semantic_model} gives {encoder.width} features, the GPT reads {width}")
        return encoder

    @cached_property
    def codec(self) -> SemanticCodec:
        """Semantic features to codes."""
        return parts.load_codec(self.files.codec, self.config).to(self.frozen_device)

    @cached_property
    def conditioning_encoder(self) -> ConditioningEncoder:
        """Semantic features to speaker latents and emotion."""
        return parts.load_conditioning_encoder(self.files.gpt, self.config).to(self.frozen_device)

    @cached_property
    def speaker_model(self) -> CAMPPlus:
        """Sound to a speaker's style."""
        return parts.load_speaker_model(self.files.speaker_model).to(self.frozen_device)

    @cached_property
    def s2mel(self) -> S2Mel:
        """Codes to mel."""
        return parts.load_s2mel(self.files.s2mel, self.config).to(self.frozen_device)

    @cached_property
    def vocoder(self) -> BigVGAN:
        """Mel to sound."""
        return parts.load_vocoder(*self.files.vocoder, self.config).to(self.frozen_device)

    @cached_property
    def emotions(self) -> EmotionTable:
        """What a list of emotion weights mixes."""
        table = parts.load_emotions(*self.files.emotions, self.config)
        widths = (self.config.gpt.model_dim, self.config.s2mel.style_encoder.dim)
        for path, vectors, width in zip(self.files.emotions, (table.emotions, table.speakers), widths, strict=True):
            if vectors.shape[1] != width:
                raise EngineError(f"{path} holds vectors of {vectors.shape[1]}, the checkpoint's are {width}")
        return table.to(self.frozen_device)

    def new_network(self) -> SemanticGPT:
        """Load the frozen GPT; each call gives one of its own, for PEFT changes it in place.

        What only listens is let go: training and speaking need its memory more, and it comes back when asked for.
        """
        for part in _LISTENING:
            self.__dict__.pop(part, None)
        network: SemanticGPT = parts.load_network(self.files.gpt, self.config, self.options.dropout)
        network.to(self.device, self.dtype)
        return network

    @cached_property
    def spoken_with(self) -> dict[str, str]:
        """Hash every part that speaking needs."""
        return {
            "network": hash_file(self.files.gpt),
            "s2mel": hash_file(self.files.s2mel),
            "vocoder": _joined(*self.files.vocoder),
            "tokenizer": hash_file(self.files.tokenizer),
            "config.yaml": hash_file(self.files.own("config.yaml")),
        }

    @cached_property
    def heard_with(self) -> dict[str, str]:
        """Hash every further part that features depend on."""
        normaliser = self.frontend.engine.identity  # first, for it says in a line that there is no such glossary
        glossary = {"glossary": hash_file(self.options.glossary)} if self.options.glossary else {}
        return {
            "semantic_model": _joined(*self.files.semantic_files),
            "statistics": hash_file(self.files.statistics),
            "codec": hash_file(self.files.codec),
            "normaliser": normaliser,
            **glossary,
        }


def _joined(*paths: Path) -> str:
    return sha256("".join(hash_file(path) for path in paths).encode()).hexdigest()[:16]
