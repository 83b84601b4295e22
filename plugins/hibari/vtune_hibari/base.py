"""The state of the engine: one base, its file read on first use."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import torch

from vtune_hibari.bases import BaseFiles, open_base
from vtune_hibari.bases.base_files import Accent
from vtune_hibari.network.voice import HibariNetwork, new_network
from vtune_hibari.options import HibariOptions
from vtune_hibari.text.reader import reader_version

if TYPE_CHECKING:
    from vtune_hibari.alignment import Aligner


MAX_READINGS = 100
"""Texts of the base's own speech that the aligner learns from at a time; a short training needs no more than steps."""

DEFAULT_ALIGNER_STEPS = 600
"""For a base that has no aligner in vtune."""


class HibariBase:
    """One base. Its weights are float32 whatever a training computes in: they are six million numbers."""

    def __init__(self, options: HibariOptions, device: torch.device) -> None:
        self.options = options
        self.device = device

    @cached_property
    def files(self) -> BaseFiles:
        """What the base's file says: shapes, accent, fingerprint."""
        return open_base(self.options.base_model)

    def new_network(self) -> HibariNetwork:
        """Load the frozen network; each call loads a new one, because PEFT changes a network in place."""
        return self._network_on_the_processor().to(self.device)

    @cached_property
    def reference_network(self) -> HibariNetwork:
        """The untuned network, for alignment and measurements; never trained and never given an adapter.

        It stays on the processor, where recordings are read, so that clips are encoded alike on every machine.
        """
        return self._network_on_the_processor()

    def _network_on_the_processor(self) -> HibariNetwork:
        network = new_network(self.files.settings)
        self.files.load(network)
        frozen: HibariNetwork = network.requires_grad_(False).eval()
        return frozen

    @cached_property
    def aligner(self) -> Aligner:
        """Return what finds the symbols of a text in a recording; that of heart comes with vtune."""
        from vtune_hibari.alignment import Aligner
        from vtune_hibari.alignment.distillation import Distillation, find_classifier, shipped_classifier

        steps = self.options.aligner_steps
        hears = shipped_classifier(self.files.fingerprint) if steps is None else None
        if hears is None:
            steps = steps or DEFAULT_ALIGNER_STEPS
            distillation = Distillation(steps, readings=min(MAX_READINGS, steps))
            hears = find_classifier(self.reference_network, self.files.fingerprint, distillation)
        return Aligner(self.reference_network, hears)

    def accent(self, chosen: Accent | None) -> Accent:
        """Return the accent that texts are read in.

        :param chosen: the option ``accent``.
        """
        return chosen or self.files.accent or "american"

    def fingerprint(self) -> dict[str, str]:
        """Return a hash of each part that features and voices depend on."""
        return {"base": self.files.fingerprint}

    def features_fingerprint(self) -> dict[str, str]:
        """Return the version of what reads texts, which a voice does without when it is given phonemes."""
        return {"reader": reader_version()}
