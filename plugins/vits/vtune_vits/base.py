"""The state of the engine: one base, its files read on first use."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import torch

from vtune import EngineError
from vtune.errors import nearest, shown
from vtune_vits.bases import BaseText, open_base
from vtune_vits.network.settings import VitsSettings
from vtune_vits.network.voice import VitsNetwork, new_network
from vtune_vits.options import VitsOptions

if TYPE_CHECKING:
    from vtune_vits.bases import BaseFiles
    from vtune_vits.training.own_speech import Teacher

DECODER = "decoder."
"""Beginning of the names of the vocoder's weights."""


class VitsBase:
    """One base. Its weights are float32 whatever a training computes in: they are 15 to 40 million numbers."""

    def __init__(self, options: VitsOptions, device: torch.device) -> None:
        self.options = options
        self.device = device
        if options.speaker is not None:
            self.speaker_number("")  # a wrong name is told before anything is encoded

    @cached_property
    def files(self) -> BaseFiles:
        """What the base's files say: format, settings, symbols, licence."""
        return open_base(self.options.base_model)

    @cached_property
    def settings(self) -> VitsSettings:
        """The shapes of the network and the base's own speaking style."""
        return self.options.network_settings(self.files.settings)

    @property
    def text(self) -> BaseText:
        """What the base reads: its symbols and their ids."""
        return self.files.text

    def new_network(self) -> VitsNetwork:
        """Load the frozen network; each call loads a new one, because PEFT changes a network in place.

        Parts that the base's files lack, such as the posterior encoder of an ONNX voice, have weights from a fixed
        seed. Speaking needs none of these parts. A vocoder of source and filters is made if the cache has none.
        """
        if self.settings.source_filter is None:
            return self._published_network()
        from vtune_vits.training.own_speech import Distillation
        from vtune_vits.training.source_filter import load_source_filter

        network, teacher = new_network(self.settings), self.teacher()
        published = teacher.network.state_dict()
        network.load_state_dict({name: published[name] for name in published if not name.startswith(DECODER)}, False)
        load_source_filter(network, teacher, Distillation(steps=self.options.vocoder_steps))
        return self._frozen(network)

    def teacher(self) -> Teacher:
        """Return the base as it is published, from whose speech the parts that it lacks can learn."""
        from vtune_vits.training.own_speech import Phonemes, Teacher

        symbols = {id_ for ids in self.text.symbols.values() for id_ in ids}
        blank = self.text.blank[0] if self.text.blank else None
        phonemes = Phonemes(tuple(sorted(symbols - {blank})), blank)
        return Teacher(self._published_network(), phonemes, self.files.fingerprint)

    def _published_network(self) -> VitsNetwork:
        network = new_network(self.files.settings)
        self.files.load(network)
        return self._frozen(network)

    def _frozen(self, network: VitsNetwork) -> VitsNetwork:
        frozen: VitsNetwork = network.requires_grad_(False).eval().to(self.device)
        return frozen

    def speaker_number(self, voice: str) -> int:
        """Return the number of the base's speaker from which a voice starts; 0 for a base of one speaker.

        :param voice: the name of the voice; used if the option ``speaker`` is null.
        :raises EngineError: the base has no speaker of that name or number.
        """
        speaker, names, count = self.options.speaker, self.text.speakers, self.settings.speakers
        if speaker is None:
            return names.get(voice, self.text.default_speaker)
        number = names.get(speaker, -1) if isinstance(speaker, str) else speaker
        if not 0 <= number < count:
            hint = nearest(str(speaker), names)
            known = f"its speakers are 0 to {count - 1}" if count > 1 else "it has one speaker, so leave the option out"
            raise EngineError(f"engine_options.speaker: the base has no speaker {shown(speaker)}{hint}; {known}")
        return number

    def fingerprint(self) -> dict[str, str]:
        """Return a hash of each part that features and voices depend on."""
        hashes = {"base": self.files.fingerprint}
        if self.settings.source_filter is not None:
            from vtune_vits.training.source_filter import VERSION

            hashes["vocoder"] = f"source_filter {VERSION}"
        return hashes
