"""Options: each affects what it declares, and nothing else."""

from __future__ import annotations

from functools import partial

from vtune.testing.option_effects import OptionEffects
from vtune.testing.rule import NotApplicable, rule
from vtune.testing.rules.clips import encoding_repeats, features_can_be_stored, texts_are_prepared_alike
from vtune.testing.rules.conditioning import conditioning_repeats
from vtune.testing.rules.files import written_conditioning_speaks_alike
from vtune.testing.rules.loading import fingerprint_is_stable
from vtune.testing.rules.losses import training_loss_repeats
from vtune.testing.rules.sound import (
    last_piece_has_the_ending,
    sound_has_the_engines_rate,
    sound_stays_in_range,
    word_times_are_ordered,
)
from vtune.testing.rules.speech import speech_forgets_what_came_before, training_goes_on_after_speech
from vtune.testing.subject import Subject
from vtune.types.options import sampling_names

DECLARE = "Add the effect to the option's `affects`, or do not use the option there."

declared = partial(
    rule,
    why="A change of the option in a recipe would not make anew what depends on it: the run goes on with old features, "
    "an old adapter or an old voice.",
    change=DECLARE,
)

_SPEAKS = (
    speech_forgets_what_came_before,
    sound_stays_in_range,
    sound_has_the_engines_rate,
    last_piece_has_the_ending,
    word_times_are_ordered,
    conditioning_repeats,
)


def _effects(subject: Subject) -> OptionEffects:
    if not subject.info.options.model_fields:
        raise NotApplicable("the engine has no options")
    kept: OptionEffects | None = vars(subject).get("option_effects")
    if kept is None:
        kept = OptionEffects(subject.engine, subject.engine_options, subject.clips, subject.seed, subject.changes)
        vars(subject)["option_effects"] = kept
    return kept


@declared(after=(fingerprint_is_stable,))
def options_flip_their_keys(subject: Subject) -> None:
    """Another value of an option changes exactly the keys of the effects that it declares."""
    _effects(subject).check_keys()


@declared(after=(texts_are_prepared_alike,))
def text_options_are_declared(subject: Subject) -> None:
    """Only options that declare `text` change what prepare_text returns."""
    _effects(subject).check_stage("text")


@declared(after=(text_options_are_declared, encoding_repeats, features_can_be_stored))
def feature_options_are_declared(subject: Subject) -> None:
    """Only options that declare `features` change what prepare_sample returns."""
    _effects(subject).check_stage("features")


@declared(after=(training_loss_repeats, features_can_be_stored, training_goes_on_after_speech))
def training_options_are_declared(subject: Subject) -> None:
    """Only options that declare `training` or `features` change the loss of a batch."""
    _effects(subject).check_stage("training")


@declared(after=(conditioning_repeats,))
def speech_options_are_declared(subject: Subject) -> None:
    """Only options that declare `speech`, `training` or `features` change what the voice keeps."""
    _effects(subject).check_stage("speech")


@rule(
    why="`vtune serve` speaks voices with different values of the option on one base: each would speak with the "
    "other's.",
    change="Keep the value in the conditioning, or declare that the option also affects `sampling` or `runtime`.",
    after=_SPEAKS,
)
def speech_reads_no_other_options(subject: Subject) -> None:
    """synthesize reads no options of the base but those that affect `sampling` or `runtime`."""
    subject.require_support("text")
    _effects(subject).check_reads()


@declared(after=(*_SPEAKS, written_conditioning_speaks_alike, speech_reads_no_other_options))
def runtime_options_are_declared(subject: Subject) -> None:
    """With one adapter and conditioning, only options that declare `runtime` or `sampling` change the speech."""
    subject.require_support("text")
    _effects(subject).check_stage("runtime")


@rule(
    why="A request that sends the value would get the speech without it, and nobody would be told.",
    change="Take the value where it is used: sampling.get('temperature', base.options.temperature).",
    after=(*_SPEAKS, runtime_options_are_declared),
)
def sampling_options_are_used(subject: Subject) -> None:
    """A value that comes as `sampling` sounds as the same value of the base does."""
    subject.require_support("text")
    if not sampling_names(subject.info.options):
        raise NotApplicable("no option affects sampling")
    _effects(subject).check_sampling()
