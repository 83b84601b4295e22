"""What is heard: the text, the adapter, and nothing of the parts that are trained beside it."""

from __future__ import annotations

import torch

from vtune.testing.rule import NotApplicable, require, rule
from vtune.testing.rules.sound import sound_is_not_silent
from vtune.testing.rules.speech import speech_forgets_what_came_before
from vtune.testing.subject import (
    EQUALLY_LONG_TEXT,
    TEXT,
    Subject,
    difference,
    first_change,
    same_sound,
    sound_of,
    wake,
)


@rule(
    why="The voice would say the same sounds whatever it is asked to say.",
    change="Give the network the letters, phonemes or tokens of the text that synthesize gets, not only its length.",
    after=(speech_forgets_what_came_before, sound_is_not_silent),
)
def text_is_heard(subject: Subject) -> None:
    """Two texts of equal length, with the same seed, do not sound alike."""
    first, second = (sound_of(subject.speak(text, 5)) for text in (TEXT, EQUALLY_LONG_TEXT))
    require(
        not same_sound(first, second),
        f"{TEXT!r} and {EQUALLY_LONG_TEXT!r} sound alike to the last sample.",
    )


@rule(
    why="The training would be for nothing: the voice sounds like the base, whatever it has learned.",
    change="Speak with the model that synthesize gets, not with a network that the base keeps.",
    after=(text_is_heard,),
)
def adapter_is_heard(subject: Subject) -> None:
    """Speech changes when the adapter changes, and is that of the base when the adapter is off."""
    rate = subject.info.sample_rate
    usual = sound_of(subject.speak(TEXT, 5))
    std = first_change(lambda std: sound_of(subject.speak(TEXT, 5, model=subject.model(awake=std))), usual)
    require(
        std is not None,
        "With random numbers in the adapter, up to 10 in size, the speech stays the same to the last sample.",
    )
    off = sound_of(subject.speak(TEXT, 5, model=subject.model(awake=std or 0.0), untuned=True))
    require(
        same_sound(usual, off),
        "Within disable_adapter(), the speech is not that of the base with a new adapter: "
        f"{difference(usual, off, rate)}.",
        "Compute everything while the adapter is off too: keep no result from a call with the adapter.",
    )
    model = subject.model()
    sound_of(subject.speak(TEXT, 5, model=model))
    wake(model, std or 0.0, subject.seed)
    changed = sound_of(subject.speak(TEXT, 5, model=model))
    expected = sound_of(subject.speak(TEXT, 5, model=subject.model(awake=std or 0.0)))
    require(
        same_sound(changed, expected),
        "After the weights of an adapter had changed, its model sounded different from a new model with these weights: "
        f"{difference(changed, expected, rate)}.",
        "Keep nothing that is computed from the weights of the model: they change in training and in a mix.",
    )


@rule(
    why="What belongs to no voice would be heard in it: the voice would speak otherwise when it is opened.",
    change="Compute speech without the parts of training_parts.",
    after=(adapter_is_heard,),
)
def training_parts_are_not_heard(subject: Subject) -> None:
    """Speech does not depend on the parts that are trained beside the adapter."""
    model = subject.model()
    parts = subject.engine.training_parts(subject.base, model)
    if not parts:
        raise NotApplicable("the engine trains nothing beside the adapter")
    usual = sound_of(subject.speak(TEXT, 5, model=model))
    for name, part in parts.items():
        with torch.no_grad():
            for parameter in part.module.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3)) * 0.5)
        changed = sound_of(subject.speak(TEXT, 5, model=model))
        require(
            same_sound(usual, changed),
            f"Other weights of the part {name!r} change the speech: "
            f"{difference(usual, changed, subject.info.sample_rate)}.",
        )
