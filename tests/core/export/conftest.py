"""Voices of the toy engine, each made once, because an export only reads them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vtune.runtime.paths import VoiceFolder


@pytest.fixture(scope="session")
def voice(trained_voice: Callable[..., VoiceFolder]) -> VoiceFolder:
    """Make a scored LoRA voice with a consent."""
    return trained_voice()


@pytest.fixture(scope="session")
def unstated(trained_voice: Callable[..., VoiceFolder]) -> VoiceFolder:
    """Make the same voice without a consent."""
    return trained_voice(consent=None, evaluate={"sentences": ["hello there"], "clips": 0})


@pytest.fixture(scope="session")
def full(trained_voice: Callable[..., VoiceFolder]) -> VoiceFolder:
    """Make a fully fine-tuned voice."""
    return trained_voice(train={"method": "full"}, evaluate={"sentences": ["hello there"], "clips": 0})
