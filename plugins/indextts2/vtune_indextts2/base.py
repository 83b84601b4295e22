"""The state of the engine: the parts of one checkpoint, each loaded on first use."""

from __future__ import annotations

import logging
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import torch

from vtune import EngineError, LoraSettings
from vtune.toolkit import hash_file
from vtune_indextts2 import part_loaders
from vtune_indextts2.checkpoint_files import CheckpointFiles
from vtune_indextts2.config import Config
from vtune_indextts2.gpt.conditioning import EmotionEncoder
from vtune_indextts2.gpt.emotion import EmotionTable
from vtune_indextts2.gpt.network import SemanticGPT
from vtune_indextts2.options import IndexTTS2Options
from vtune_indextts2.recording_tensors import FlowPrompt, RecordingFeatures
from vtune_indextts2.releases.interface import Release, Text
from vtune_indextts2.releases.registry import RELEASES
from vtune_indextts2.s2mel.network import S2Mel
from vtune_indextts2.semantic.codec import SemanticCodec
from vtune_indextts2.semantic.features import SemanticEncoder
from vtune_indextts2.speaker.campplus import CAMPPlus
from vtune_indextts2.vocoder.bigvgan import BigVGAN

logger = logging.getLogger(__name__)

TEXT_EMBEDDING = "text_embedding"
"""The module of the GPT that has a row for each text token."""

_ENCODING_PARTS = ("semantic", "codec", "conditioning_encoder", "speaker_model")


class IndexTTS2Base:
    """One checkpoint. ``device`` and ``dtype`` belong to the GPT; all other parts are float32 on ``frozen_device``.

    :raises EngineError: an option asks for what the release of the checkpoint does not have.
    """

    def __init__(self, options: IndexTTS2Options, device: torch.device, dtype: torch.dtype) -> None:
        self.options = options
        self.device = device
        self.dtype = dtype
        self.frozen_device = device if options.frozen_device == "auto" else torch.device("cpu")
        self.files = CheckpointFiles(options)
        self.release.check(options)
        self.recording_cache: dict[tuple[str, int, float], tuple[RecordingFeatures, FlowPrompt]] = {}

    @property
    def config(self) -> Config:
        """The settings in ``config.yaml``."""
        return self.files.config

    @property
    def release(self) -> Release:
        """What the release of the checkpoint decides."""
        return RELEASES[self.config.release]

    @property
    def semantic_rate(self) -> int:
        """Semantic codes for each second of sound."""
        return self.config.codes_per_second

    @cached_property
    def frontend(self) -> Text:
        """Turns texts into token ids."""
        return self.release.make_text(self)

    @cached_property
    def semantic(self) -> SemanticEncoder:
        """Encodes sound to semantic features. :raises EngineError: their width is not the GPT's."""
        width, layers = self.config.gpt.feature_dim, self.config.semantic_layers
        encoder = SemanticEncoder.load(
            self.files.semantic_model, self.files.statistics, layers=layers, device=self.frozen_device
        )
        if encoder.width != width:
            raise EngineError(f"{self.files.semantic_model} gives {encoder.width} features, but the GPT reads {width}")
        return encoder

    @cached_property
    def codec(self) -> SemanticCodec:
        """Quantises semantic features to codes; that of IndexTTS-2.5 also decodes them."""
        return self.release.load_codec(self).to(self.frozen_device)

    @cached_property
    def conditioning_encoder(self) -> EmotionEncoder:
        """Encodes semantic features to emotion and, of IndexTTS-2, to speaker latents."""
        return part_loaders.load_conditioning_encoder(self.files.gpt, self.config).to(self.frozen_device)

    @cached_property
    def speaker_model(self) -> CAMPPlus:
        """Encodes sound to a speaker embedding."""
        return part_loaders.load_speaker_model(self.files.speaker_model).to(self.frozen_device)

    @cached_property
    def s2mel(self) -> S2Mel:
        """Turns codes into mel spectrograms."""
        return part_loaders.load_s2mel(self.files.s2mel, self.config).to(self.frozen_device)

    @cached_property
    def vocoder(self) -> BigVGAN:
        """Turns mel spectrograms into sound."""
        return part_loaders.load_vocoder(*self.files.vocoder, self.config).to(self.frozen_device)

    @cached_property
    def emotions(self) -> EmotionTable:
        """The emotion vectors that a list of emotion weights mixes."""
        table = part_loaders.load_emotions(*self.files.emotions, self.config)
        widths = (self.config.gpt.model_dim, self.config.s2mel.style_encoder.dim)
        for path, vectors, width in zip(self.files.emotions, (table.emotions, table.speakers), widths, strict=True):
            if vectors.shape[1] != width:
                raise EngineError(f"{path} holds vectors of {vectors.shape[1]} numbers, but the checkpoint has {width}")
        return table.to(self.frozen_device)

    def warn_of_untrained_rows(self, lora: LoraSettings) -> None:
        """Warn if an adapter leaves the rows of new pieces as they begin, and say what training them costs."""
        named = {name.rpartition(".")[2] for name in (*lora.modules_to_save, *lora.targets)}
        if not self.files.new_pieces or TEXT_EMBEDDING in named:
            return
        gpt = self.config.gpt
        logger.warning(
            "%d new_tokens begin as means of other rows, and an adapter on %s never trains them: set "
            "lora.modules_to_save: [%s, text_head], which trains both text tables whole (%.1f million parameters, "
            "%.0f MB in the voice), or train.method: full",
            len(self.files.new_pieces), ", ".join(lora.targets), TEXT_EMBEDDING,
            2 * gpt.text_rows * gpt.model_dim / 1e6, 8 * gpt.text_rows * gpt.model_dim / 1e6,
        )  # fmt: skip

    def new_network(self) -> SemanticGPT:
        """Load the frozen GPT; each call loads a new one, because PEFT changes a network in place.

        Parts that only encode clips are freed for training and speaking; they are loaded again on the next use.
        """
        for part in _ENCODING_PARTS:
            self.__dict__.pop(part, None)
        network: SemanticGPT = part_loaders.load_network(
            self.files.gpt, self.config, self.options.dropout, self.files.new_piece_parts
        )
        network.loss_weights = (self.options.text_loss_weight, self.options.code_loss_weight)
        network.to(self.device, self.dtype)
        return network

    @cached_property
    def speaking_fingerprint(self) -> dict[str, str]:
        """Return a hash of each part that speaking needs."""
        return {
            "network": hash_file(self.files.gpt),
            "s2mel": hash_file(self.files.s2mel),
            "vocoder": _joint_hash(*self.files.vocoder),
            "tokenizer": hash_file(self.files.tokenizer),
            "config.yaml": hash_file(self.files.own("config.yaml")),
            **self.release.fingerprint(self),
        }

    @cached_property
    def features_fingerprint(self) -> dict[str, str]:
        """Return a hash of each further part that features depend on."""
        normaliser = self.frontend.identity(
            self.options.language
        )  # first, because it reports a missing glossary in one line
        glossary = {"glossary": hash_file(self.options.glossary)} if self.options.glossary else {}
        return {
            "release": self.config.title,
            "semantic_model": _joint_hash(*self.files.semantic_files),
            "statistics": hash_file(self.files.statistics),
            "codec": hash_file(self.files.codec),
            "normaliser": normaliser,
            **glossary,
        }


def _joint_hash(*paths: Path) -> str:
    return sha256("".join(hash_file(path) for path in paths).encode()).hexdigest()[:16]
