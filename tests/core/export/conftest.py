"""Toy voices, each made once: an export only reads them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vtune.runtime.paths import VoiceFolder


@pytest.fixture(scope="session")
def voice(trained_voice: Callable[..., VoiceFolder]) -> VoiceFolder:
    """Scored, by LoRA, with a consent."""
    return trained_voice()


@pytest.fixture(scope="session")
def unstated(trained_voice: Callable[..., VoiceFolder]) -> VoiceFolder:
    """The same without a consent."""
    return trained_voice(consent=None, evaluate={"sentences": ["hello there"], "clips": 0})


@pytest.fixture(scope="session")
def full(trained_voice: Callable[..., VoiceFolder]) -> VoiceFolder:
    """Fully fine-tuned."""
    return trained_voice(train={"method": "full"}, evaluate={"sentences": ["hello there"], "clips": 0})
