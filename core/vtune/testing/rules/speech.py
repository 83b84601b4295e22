"""Speaking: the sound, its pieces and its endings, and what speech depends on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from vtune.errors import VtuneError
from vtune.testing.rule import BrokenRule, NotApplicable, require, rule
from vtune.testing.rules.adapter import adapter_comes_back, gradients_reach_the_adapter
from vtune.testing.rules.batches import validation_loss_repeats
from vtune.testing.rules.conditioning import conditioning_is_plain
from vtune.testing.rules.network import adapter_is_built
from vtune.testing.subject import (
    LONG_TEXT,
    OTHER_TEXT,
    TEXT,
    Subject,
    difference,
    first_change,
    next_piece,
    same_sound,
    sound_of,
    wake,
)
from vtune.testing.watch import seed_everything
from vtune.types import Audio, Ending, WordTime
from vtune.types.options import sampling_names

SILENT_PEAK = 1e-4
"""Largest distance of a sample from the mean that is silence: -80 dB of full scale."""

EDGE_SECONDS = 0.003
"""Silence at the edges of pieces, or sound that two pieces share, that is more than chance."""


@rule(
    why="vtune takes the sound piece by piece, in inference mode, so that a listener hears the first piece at once.",
    change="Write synthesize as a generator: `yield vtune.Audio(waveform, sample_rate, ending)` for each piece.",
    after=(conditioning_is_plain, adapter_is_built),
)
def speech_is_yielded(subject: Subject) -> None:
    """synthesize yields pieces of vtune.Audio, one after another."""
    subject.require_support("text")
    model = subject.model()
    answer = subject.start(TEXT, None, subject.base, model)
    require(
        isinstance(answer, Iterator),
        f"synthesize returned a {type(answer).__name__}, not an iterator.",
    )
    with torch.inference_mode():
        piece = next(answer, None)
    require(piece is not None, f"synthesize yielded nothing for the text {TEXT!r}.")
    require(isinstance(piece, Audio), f"synthesize yielded a {type(piece).__name__}, not vtune.Audio.")


@rule(
    why="A run or a request that speaks would never end.",
    change="Stop at the end token, at the planned length, or at a limit of tokens that grows with the text.",
    after=(speech_is_yielded,),
    seconds=30,
)
def speech_ends(subject: Subject) -> None:
    """Every utterance ends by itself."""
    for text in (TEXT, LONG_TEXT):
        subject.speak(text)
    subject.speak(TEXT, subject.seed + 1, model=subject.model(awake=1.0))


def _pieces(subject: Subject) -> list[Audio]:
    kept: list[Audio] | None = vars(subject).get("spoken")
    if kept is None:
        kept = vars(subject)["spoken"] = [*subject.speak(TEXT), *subject.speak(LONG_TEXT)]
    return kept


@rule(
    why="Players and files would read other numbers than the engine wrote: 16-bit integers as noise at full scale.",
    change="Write waveform.astype(np.float32), and divide 16-bit samples by 32768.",
    after=(speech_ends,),
)
def sound_is_float32(subject: Subject) -> None:
    """Each piece is a NumPy array of float32."""
    for piece in _pieces(subject):
        kind = type(piece.waveform).__name__
        require(
            isinstance(piece.waveform, np.ndarray),
            f"A piece of sound is a {kind}, not a NumPy array.",
            "Write tensor.float().cpu().numpy().",
        )
        require(piece.waveform.dtype == np.float32, f"A piece of sound is {piece.waveform.dtype}.")


@rule(
    why="A file with another shape is saved with the samples as channels, or mixed up.",
    change="Return one channel: waveform[0], or waveform.mean(axis=0).",
    after=(sound_is_float32,),
)
def sound_is_mono(subject: Subject) -> None:
    """Each piece has one axis, [samples]."""
    for piece in _pieces(subject):
        require(piece.waveform.ndim == 1, f"A piece of sound has the shape {list(piece.waveform.shape)}.")


@rule(
    why="The voice would be saved too high or too low, and too fast or too slow.",
    change="Give vtune.Audio the rate of the vocoder, and EngineInfo.sample_rate the same; resample one if they "
    "differ.",
    after=(speech_ends,),
)
def sound_has_the_engines_rate(subject: Subject) -> None:
    """Each piece has the sample rate that engine_info declares."""
    for piece in _pieces(subject):
        require(
            piece.sample_rate == subject.info.sample_rate,
            f"A piece of sound has {piece.sample_rate} Hz, but engine_info declares {subject.info.sample_rate} Hz.",
        )


@rule(
    why="NaN is saved as silence or as a click, and no score notices it.",
    change="Look where the network divides by zero or takes the logarithm of zero; compute the vocoder in float32.",
    after=(sound_is_mono,),
)
def sound_is_finite(subject: Subject) -> None:
    """No sample is NaN or infinite."""
    for piece in _pieces(subject):
        bad = int((~np.isfinite(piece.waveform)).sum())
        require(not bad, f"{bad} of {len(piece.waveform)} samples of a piece are NaN or infinite.")


@rule(
    why="Louder samples are cut off when the sound is saved: it crackles.",
    change="Divide 16-bit samples by 32768; limit what is a little too loud: np.clip(waveform, -1, 1).",
    after=(sound_is_finite,),
)
def sound_stays_in_range(subject: Subject) -> None:
    """No sample is outside of [-1, 1]."""
    peak = max((float(np.abs(piece.waveform).max()) for piece in _pieces(subject) if len(piece.waveform)), default=0.0)
    require(peak <= 1 + 1e-6, f"The sound reaches {peak:.4g}; full scale is 1.")


@rule(
    why="A voice that says nothing passes every other check.",
    change="Look whether the network's output reaches the vocoder, with the scale that the vocoder expects.",
    after=(sound_is_finite,),
)
def sound_is_not_silent(subject: Subject) -> None:
    """The sound is neither empty nor silent nor constant."""
    sound = sound_of(_pieces(subject))
    require(len(sound), "All pieces are empty: there is no sample.")
    distance = float(np.abs(sound - sound.mean()).max())
    require(
        distance > SILENT_PEAK,
        f"{len(sound) / subject.info.sample_rate:.2f} s of sound are "
        f"{'silent' if abs(sound[0]) < 1e-4 else 'constant'}: "
        f"no sample is farther than {distance:.1g} from {sound.mean():.2g}.",
    )


@rule(
    why="vtune counts utterances that were cut off or ran away, and a listener's player waits for the last piece.",
    change="Give the last piece of each utterance, and no other one, its ending: vtune.Audio(waveform, rate, "
    "vtune.Ending.END_TOKEN), or PLANNED for a length that was known before, LIMIT for one that was cut off.",
    after=(speech_ends,),
)
def last_piece_has_the_ending(subject: Subject) -> None:
    """The last piece of an utterance, and only the last, says how it ended."""
    pieces = subject.speak(TEXT)
    strange = [piece.ending for piece in pieces if piece.ending is not None and not isinstance(piece.ending, Ending)]
    require(not strange, f"A piece has the ending {strange[:1]}, which is no vtune.Ending.")
    require(pieces[-1].ending is not None, f"The last of {len(pieces)} pieces has no ending.")
    early = sum(piece.ending is not None for piece in pieces[:-1])
    require(not early, f"{early} of the {len(pieces) - 1} pieces before the last one have an ending, for one sentence.")


@rule(
    why="A listener hears clicks and pauses, or syllables twice, at the edges of the pieces.",
    change="Cut the sound at the same sample where the next piece goes on; yield no sound twice, and add no silence.",
    after=(sound_is_mono,),
)
def pieces_join_without_gap(subject: Subject) -> None:
    """The joined pieces have no gap and no overlap."""
    waveforms = [piece.waveform for piece in subject.speak(LONG_TEXT) if len(piece.waveform)]
    if len(waveforms) < 3:
        raise NotApplicable(f"a text of three sentences came in {len(waveforms)} pieces")
    edge = max(8, round(EDGE_SECONDS * subject.info.sample_rate))
    pairs = [pair for pair in pairwise(waveforms) if min(map(len, pair)) > 4 * edge]
    repeated = sum(_shares_edge(first, second, edge) for first, second in pairs)
    require(
        repeated * 2 <= len(pairs) or not pairs,
        f"{repeated} of {len(pairs)} pieces begin with the sound that the piece before them ends with.",
    )
    loud = [
        waveform for waveform in waveforms if np.abs(waveform).max() > 10 * SILENT_PEAK and len(waveform) > 4 * edge
    ]
    gaps = sum(not np.any(waveform[-edge:]) or not np.any(waveform[:edge]) for waveform in loud)
    inside = sum(not np.any(waveform[len(waveform) // 2 : len(waveform) // 2 + edge]) for waveform in loud)
    require(
        gaps * 2 <= len(loud) or inside * 2 > len(loud),
        f"{gaps} of {len(loud)} pieces begin or end with {edge} samples or more of silence, that is "
        f"{edge / subject.info.sample_rate * 1000:.0f} ms.",
    )


def _shares_edge(first: np.ndarray, second: np.ndarray, edge: int) -> bool:
    """Tell whether some end of the first sound, of at least ``edge`` samples, is the beginning of the second."""
    start = second[:edge]
    if np.ptp(start) < SILENT_PEAK:
        return False
    for offset in range(max(0, len(first) - 4000), len(first) - edge + 1):
        if np.array_equal(first[offset : offset + edge], start):
            shared = len(first) - offset
            if shared <= len(second) and np.array_equal(first[offset:], second[:shared]):
                return True
    return False


@rule(
    why="A seed is how users repeat what they liked, and how a test compares two voices.",
    change="Draw from a generator of the utterance: torch.Generator().manual_seed(seed), passed to torch.multinomial "
    "or "
    "torch.randn; not from the global generator, the time or a generator that lives on.",
    after=(speech_ends, validation_loss_repeats),
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
    others: dict[str, dict[str, Any]] = {
        "another text": {"text": OTHER_TEXT},
        "a longer text": {"text": LONG_TEXT},
        "another seed": {"seed": 6},
        "another voice's conditioning": {"conditioning": _other_conditioning(subject)},
        "another adapter": {"model": subject.model(awake=0.5, base=base)},
        **{f"another {name}": {"sampling": {name: value}} for name, value in _other_sampling(subject).items()},
    }
    for what, change in others.items():
        after = sound_of(subject.speak(**{**usual, **change}))
        again = sound_of(subject.speak(**usual))
        require(
            same_sound(first, again),
            f"A text sounded different after {what} had been spoken: {difference(first, again, rate)}.",
        )
        fresh_base = subject.new_base()
        adapter = subject.model(awake=0.5 if what == "another adapter" else 0.0, base=fresh_base)
        fresh = sound_of(subject.speak(**{**usual, **change, "base": fresh_base, "model": adapter}))
        require(
            same_sound(after, fresh),
            f"With {what}, speech sounded different on a base that had spoken before than on a new one: "
            f"{difference(after, fresh, rate)}.",
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
    why="The training would be for nothing: the voice sounds like the base, whatever it has learned.",
    change="Speak with the model that synthesize gets, not with a network that the base keeps.",
    after=(speech_forgets_what_came_before, sound_is_not_silent),
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
    why="Karaoke and subtitles would show words before they are spoken, or after.",
    change="Give the times in seconds from the start of the piece, in the order of the words.",
    after=(speech_ends,),
)
def word_times_are_ordered(subject: Subject) -> None:
    """The times of words follow each other and lie inside their sound."""
    pieces = _pieces(subject)
    if not any(piece.words for piece in pieces):
        raise NotApplicable("the engine gives no word times")
    total = sum(len(piece.waveform) for piece in pieces) / subject.info.sample_rate
    for piece in pieces:
        seconds = len(piece.waveform) / piece.sample_rate
        start = 0.0
        for time in piece.words:
            require(isinstance(time, WordTime), f"A word time is a {type(time).__name__}, not a vtune.WordTime.")
            require(
                start <= time.start <= time.end and time.start <= seconds + 0.05 and time.end <= total + 0.05,
                f"The word {time.word!r} is said to be spoken from {time.start:.3f} to {time.end:.3f} s, in a piece of "
                f"{seconds:.3f} s after a word that begins at {start:.3f} s.",
            )
            start = time.start


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


@rule(
    why="`vtune convert` would save noise, or never end.",
    change="Yield pieces of vtune.Audio as synthesize does, seeded by `seed`; the last one has its ending.",
    after=(conditioning_is_plain, adapter_is_built),
)
def conversion_is_sound(subject: Subject) -> None:
    """convert yields the same kind of sound as synthesize, and repeats it for the same seed."""
    if not subject.implements("convert"):
        raise NotApplicable("the engine converts no recordings")
    model = subject.model().eval()
    clip = subject.clip(1.0, 3)
    sounds = []
    for global_seed in (1, 2):
        seed_everything(global_seed)
        pieces = subject.engine.convert(
            subject.base, model, Audio(clip.waveform, clip.sample_rate), subject.conditioning, subject.seed
        )
        sounds.append(sound_of(subject.listen(model, pieces, "a recording")))
    require(len(sounds[0]) and np.ptp(sounds[0]) > SILENT_PEAK, "convert made no sound, or silence.")
    require(same_sound(sounds[0], sounds[1]), "convert made another sound for the same recording and seed.")
