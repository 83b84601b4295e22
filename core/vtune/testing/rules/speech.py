"""Speaking: what speech depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from vtune.errors import VtuneError
from vtune.testing.rule import BrokenRule, NotApplicable, require, rule
from vtune.testing.rules.adapter import adapter_comes_back, gradients_reach_the_adapter
from vtune.testing.rules.losses import validation_loss_repeats
from vtune.testing.rules.sound import SILENT_PEAK, sound_is_not_silent, speech_ends
from vtune.testing.subject import (
    LONG_TEXT,
    OTHER_TEXT,
    TEXT,
    Subject,
    array_change,
    difference,
    differing,
    next_piece,
    same_sound,
    sound_of,
)
from vtune.testing.watch import seed_everything
from vtune.types import Audio
from vtune.types.options import sampling_names


@rule(
    why="The voice stays open while it speaks: each utterance would change the voice for all that follow.",
    change="Work on a copy: conditioning.tensors[name].copy(), or torch.tensor(array), which copies; torch.from_numpy "
    "shares the memory.",
    after=(speech_ends,),
)
def speech_leaves_the_conditioning_alone(subject: Subject) -> None:
    """Speaking changes nothing in the conditioning of the voice."""
    conditioning = subject.condition(subject.clips)
    before = {name: array.copy() for name, array in conditioning.tensors.items()}
    strings = dict(conditioning.strings)
    subject.speak(TEXT, conditioning=conditioning)
    name = differing(before, conditioning.tensors)
    require(
        name is None,
        f"Speaking changed the array {name!r} of the conditioning: {array_change(before, conditioning.tensors, name)}.",
    )
    require(strings == dict(conditioning.strings), "Speaking changed the strings of the conditioning.")


@rule(
    why="A seed is how users repeat what they liked, and how a test compares two voices.",
    change="Draw from a generator of the utterance: torch.Generator().manual_seed(seed), passed to torch.multinomial "
    "or "
    "torch.randn; not from the global generator, the time or a generator that lives on.",
    after=(speech_leaves_the_conditioning_alone, validation_loss_repeats),
)
def seed_repeats_the_sound(subject: Subject) -> None:
    """The same seed gives the same sound, whatever the global random state."""
    model = subject.model()
    sounds = []
    for global_seed in (1, 1, 2):
        seed_everything(global_seed)
        sounds.append(sound_of(subject.speak(TEXT, 5, model=model)))
    rate = subject.info.sample_rate
    require(
        same_sound(sounds[0], sounds[1]),
        f"The same text and seed sounded different the second time: {difference(sounds[0], sounds[1], rate)}.",
    )
    require(
        same_sound(sounds[0], sounds[2]),
        "The same text and seed sounded different after the global random generators were seeded with another number: "
        f"{difference(sounds[0], sounds[2], rate)}. The sound follows the global generators, not `seed`.",
    )


@rule(
    why="A server speaks one text after another with one base; a voice would sound different on each day.",
    change="Reset in synthesize whatever an utterance changes (caches of keys and values, hidden states, counters), "
    "and "
    "key a cache by everything that its content depends on: text, conditioning, seed, sampling, and the weights.",
    after=(seed_repeats_the_sound, adapter_comes_back),
)
def speech_forgets_what_came_before(subject: Subject) -> None:
    """Speech does not depend on what was spoken before: another text, seed, voice, adapter or sampling."""
    base = subject.new_base()
    model = subject.model(base=base)
    rate = subject.info.sample_rate
    usual: dict[str, Any] = {"text": TEXT, "seed": 5, "base": base, "model": model}
    first = sound_of(subject.speak(**usual))
    others: dict[str, dict[str, Any]] = {  # those that share the text come first: a cache may hold one text alone
        "another seed": {"seed": 6},
        "another voice's conditioning": {"conditioning": _other_conditioning(subject)},
        "another adapter": {"model": subject.model(awake=0.5, base=base)},
        **{f"another {name}": {"sampling": {name: value}} for name, value in _other_sampling(subject).items()},
        "another text": {"text": OTHER_TEXT},
        "a longer text": {"text": LONG_TEXT},
    }
    after = {what: sound_of(subject.speak(**{**usual, **change})) for what, change in others.items()}
    again = sound_of(subject.speak(**usual))
    if not same_sound(first, again):
        _name_what_is_remembered(subject, usual, others)
    for what, change in others.items():
        fresh_base = subject.new_base()
        adapter = subject.model(awake=0.5 if what == "another adapter" else 0.0, base=fresh_base)
        fresh = sound_of(subject.speak(**{**usual, **change, "base": fresh_base, "model": adapter}))
        require(
            same_sound(after[what], fresh),
            f"With {what}, speech sounded different on a base that had spoken before than on a new one: "
            f"{difference(after[what], fresh, rate)}.",
        )
    require(
        same_sound(first, again),
        f"A text sounded different after {len(others)} other utterances: {difference(first, again, rate)}.",
    )


def _name_what_is_remembered(
    subject: Subject, usual: Mapping[str, Any], others: Mapping[str, Mapping[str, Any]]
) -> None:
    """Speak one text before and after each other utterance, on new bases. :raises BrokenRule: it sounds different."""
    for what, change in others.items():
        base = subject.new_base()
        here = {**usual, "base": base, "model": subject.model(base=base)}
        there = {**here, **change}
        if "model" in change:
            there["model"] = subject.model(awake=0.5, base=base)
        first = sound_of(subject.speak(**here))
        subject.speak(**there)
        again = sound_of(subject.speak(**here))
        require(
            same_sound(first, again),
            f"A text sounded different after {what} had been spoken: "
            f"{difference(first, again, subject.info.sample_rate)}.",
        )


def _other_conditioning(subject: Subject) -> Any:
    clips = [replace(subject.clip(seconds, number), voice="another") for number, seconds in ((5, 1.1), (7, 2.3))]
    return subject.condition(clips)


def _other_sampling(subject: Subject) -> dict[str, Any]:
    from vtune.testing.option_effects import other_value

    names = sampling_names(subject.info.options)[:2]
    values = {name: other_value(subject.engine_options, name, subject.changes) for name in names}
    return {name: value for name, value in values.items() if value is not None}


@rule(
    why="A listener who stops a sentence would change the next one, and a server would keep its memory.",
    change="Keep what an utterance needs in local variables of the generator, and release it in a finally block.",
    after=(speech_forgets_what_came_before,),
)
def speech_can_be_interrupted(subject: Subject) -> None:
    """An utterance can be closed after its first piece; the next one sounds as always."""
    model = subject.model()
    usual = sound_of(subject.speak(TEXT, 5, model=model))
    pieces = subject.start(LONG_TEXT, 6, subject.base, model)
    next_piece(model, pieces)
    close = getattr(pieces, "close", None)
    if close is not None:
        try:
            close()
        except Exception as error:
            raise BrokenRule(
                f"Closing an utterance after its first piece raises {type(error).__name__}: {error}."
            ) from error
    again = sound_of(subject.speak(TEXT, 5, model=model))
    require(
        same_sound(usual, again),
        "A text sounded different after another utterance had been closed early: "
        f"{difference(usual, again, subject.info.sample_rate)}.",
    )


@rule(
    why="`vtune serve` speaks several requests with one base, whose pieces come in turn; listeners would hear a "
    "mixture.",
    change="Keep what belongs to one utterance (caches, positions, the last token) in local variables, not in the "
    "base or "
    "the network.",
    after=(speech_can_be_interrupted,),
)
def utterances_take_turns(subject: Subject) -> None:
    """Two utterances whose pieces are taken in turn sound as they do alone."""
    model = subject.model()
    rate = subject.info.sample_rate
    texts = (LONG_TEXT, OTHER_TEXT)
    alone = [sound_of(subject.speak(text, 5, model=model)) for text in texts]
    running = [subject.start(text, 5, subject.base, model) for text in texts]
    pieces_by_index: list[list[Audio]] = [[], []]
    open_ones = {0, 1}
    while open_ones:
        for index in sorted(open_ones):
            piece = next_piece(model, running[index])
            open_ones.discard(index) if piece is None else pieces_by_index[index].append(piece)
    for index, text in enumerate(texts):
        together = sound_of(pieces_by_index[index])
        require(
            same_sound(alone[index], together),
            f"{text!r} sounded different while another text was spoken in turn: "
            f"{difference(alone[index], together, rate)}.",
        )


@rule(
    why="A training that measures its checkpoints speaks between two steps, and then goes on with the same model.",
    change="Leave the model in eval mode and its requires_grad flags as they are; call no model.train() in synthesize.",
    after=(speech_ends,),
)
def speech_leaves_the_model_alone(subject: Subject) -> None:
    """Speaking changes nothing in the model: no weight, no buffer, no mode, no requires_grad."""
    model = subject.model(awake=0.1)

    def state() -> dict[str, Any]:
        tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        return {name: (t.detach().clone(), t.requires_grad) for name, t in tensors.items()}

    before, modes = state(), {name: module.training for name, module in model.named_modules()}
    subject.speak(TEXT, model=model)
    after = state()
    for name, (tensor, learns) in before.items():
        same = name in after and torch.equal(torch.nan_to_num(after[name][0]), torch.nan_to_num(tensor))
        require(same, f"Speaking changed {name!r} of the model.")
        require(after[name][1] == learns, f"Speaking set requires_grad of {name!r} to {after[name][1]}.")
    for name, module in model.named_modules():
        require(
            module.training == modes[name],
            f"Speaking left {name or 'the model'} in {'train' if module.training else 'eval'} mode: the next utterance "
            "is spoken with dropout.",
        )


@rule(
    why="A training that measures its checkpoints would fail at the step after the first of them.",
    change="Make tensors that live on (caches, masks, positions) outside of inference mode, or clone them in forward.",
    after=(speech_leaves_the_model_alone, gradients_reach_the_adapter),
)
def training_goes_on_after_speech(subject: Subject) -> None:
    """After a base has spoken, a model on it can be trained."""
    base = subject.new_base()
    model = subject.model(base=base)
    subject.speak(TEXT, base=base, model=model)
    model.train()
    try:
        model(**subject.batch)["loss"].backward()
    except RuntimeError as error:
        raise BrokenRule(f"After speaking, a training step fails: {' '.join(str(error).split())[:200]}.") from error


@rule(
    why="On a GPU vtune speaks with weights in half precision; a voice would be silent there, or fail.",
    change="Convert what the network returns with .float() before NumPy or the vocoder sees it, and give the network "
    "tensors of its own dtype.",
    after=(sound_is_not_silent,),
)
def speech_holds_in_bf16(subject: Subject) -> None:
    """With weights in bf16, an utterance is spoken as well: finite, and not silent."""
    base = subject.engine.load_base(subject.engine_options, torch.device("cpu"), torch.bfloat16)
    try:
        pieces = subject.speak(TEXT, base=base, model=subject.model(base=base))
    except BrokenRule:
        raise
    except Exception as error:
        raise BrokenRule(
            f"With weights in bf16, synthesize fails: {type(error).__name__}: {' '.join(str(error).split())[:200]}."
        ) from error
    sound = sound_of(pieces)
    require(sound.size and np.isfinite(sound).all(), "With weights in bf16, the sound is empty or no numbers.")
    require(np.ptp(sound) > SILENT_PEAK, "With weights in bf16, the sound is silent.")


@rule(
    why="Evaluations speak in batches; their scores would be those of another engine than the one that users hear.",
    change="Give each line its own seed, mask the padding, and decode each line by itself.",
    after=(speech_forgets_what_came_before,),
)
def together_equals_alone(subject: Subject) -> None:
    """Several texts that are spoken together sound as each does alone."""
    if not subject.engine.can_batch:
        raise NotApplicable("the engine speaks one text at a time")
    model = subject.model()
    lines = [(text, subject.seed + index) for index, text in enumerate(("Yes", LONG_TEXT, OTHER_TEXT))]
    prepared = [(subject.prepared(text), seed) for text, seed in lines]
    answer = subject.call(
        "synthesize_together", base=subject.base, model=model, lines=prepared, conditioning=subject.conditioning,
        sampling={},
    )  # fmt: skip
    with torch.inference_mode():
        done = [(index, list(pieces)) for index, pieces in answer]
    indices = sorted(index for index, _ in done)
    require(
        indices == list(range(len(lines))),
        f"synthesize_together yielded the indices {indices} for {len(lines)} lines.",
        "Yield each index once, with the list of its pieces.",
    )
    for index, pieces in done:
        alone = subject.speak(*lines[index], model=model)
        together, single = sound_of(pieces), sound_of(alone)
        endings, expected = ([piece.ending for piece in several if piece.ending] for several in (pieces, alone))
        require(
            endings == expected, f"Line {index + 1} ends with {endings} together with others, and {expected} alone."
        )
        require(
            same_sound(together, single, 1e-4),
            f"Line {index + 1} sounds different together with others: "
            f"{difference(together, single, subject.info.sample_rate)}.",
        )


@rule(
    why="Users type such texts; a request would fail with an error that nobody understands.",
    change='Speak what can be spoken, and raise vtune.VoiceError("what is wrong with the text") for what cannot.',
    after=(speech_ends,),
)
def strange_texts_are_spoken_or_refused(subject: Subject) -> None:
    """A text of any script, of one letter or with a symbol is spoken or refused with a reason."""
    model = subject.model()
    for text in ("a", "Grüße aus Łódź!", "你好", "1 234,5 €", "yes \N{SLIGHTLY SMILING FACE} no", "two\nlines"):
        try:
            subject.speak(text, model=model)
        except (VtuneError, BrokenRule):
            continue
        except Exception as error:
            raise BrokenRule(f"The text {text!r} raises {type(error).__name__}: {error}.") from error
