"""Preparing texts and encoding clips."""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from vtune.dataset.features.rows import restore
from vtune.dataset.features.store import EncodeResult, FeatureStore
from vtune.errors import SkipClip, nearest, reason
from vtune.testing.rule import BrokenRule, NotApplicable, require, rule
from vtune.testing.rules.loading import base_loads
from vtune.testing.subject import TEXT, Subject, differing
from vtune.types import Clip, Features

LONG_SECONDS = (2.0, 8.0, 32.0, 128.0)
"""Lengths of clips of which none may be cut; clips of more than 30 s are rare."""

CUTTING_SECONDS = 10.0
"""Seconds that encoding ever longer clips may take, before the longer ones are left out."""

STRANGE_TEXTS = ("Grüße aus Łódź, 1 234,5 €!", "你好，世界", "yes \N{SLIGHTLY SMILING FACE} no", "A\tB\nC", "x" * 300)


@rule(
    why="Training and speaking must read one text alike; a text that changes by itself is learned twice.",
    change="Let prepare_text depend on the text and the given options alone: no counter, no random choice, and no "
    "option of the base.",
    after=(base_loads,),
)
def texts_are_prepared_alike(subject: Subject) -> None:
    """prepare_text gives the same text for the same text and options, in training as in speaking."""
    texts = [TEXT, *(clip.text for clip in subject.clips), *STRANGE_TEXTS[:1]]
    prepared = [subject.prepared(text) for text in texts]
    for base, when in ((subject.base, "the second time"), (subject.new_base(), "with a base that was loaded again")):
        for text, first in zip(reversed(texts), reversed(prepared), strict=True):
            again = subject.prepared(text, base)
            require(first == again, f"prepare_text turned {text!r} into {first!r}, and {when} into {again!r}.")


@rule(
    why="A clip that is not encoded is not trained on.",
    change="Return a dict of NumPy arrays, among them the one that EngineInfo.length_feature names.",
    after=(texts_are_prepared_alike,),
)
def clips_are_encoded(subject: Subject) -> None:
    """prepare_sample turns each clip into arrays by name, among them the one that has the clip's length."""
    features = subject.features
    for row in features:
        require(isinstance(row, Mapping), f"prepare_sample returned a {type(row).__name__}, not a dict of arrays.")
        for name, array in row.items():
            kind = type(array).__name__
            require(isinstance(array, np.ndarray), f"The feature {name!r} is a {kind}, not a NumPy array.")
            require(name != "lot", "A feature is named 'lot', which is vtune's own.", "Give the feature another name.")
    length = subject.info.length_feature
    require(
        length in features[0],
        f"prepare_sample returned {', '.join(features[0])}, but engine_info names {length!r} as the feature that has "
        f"the length{nearest(length, features[0]) or '.'}",
        "Name under EngineInfo.length_feature the array whose first axis grows with the clip.",
    )
    require(features[0][length].ndim, f"The feature {length!r} has no axis, so it has no length.")
    names = {frozenset(row) for row in features}
    require(
        len(names) == 1, f"The clips have different features: {' and '.join(sorted(map(str, map(sorted, names))))}."
    )
    lengths = [len(row[subject.info.length_feature]) for row in features]
    require(min(lengths) > 0, f"The feature {subject.info.length_feature!r} of a clip has length 0.")


@rule(
    why="Features are stored as Arrow files, one row a clip; what does not fit there is lost or stops the run.",
    change="Return integers, float16 or float32, with the same number of axes and the same dtype for every clip.",
    after=(clips_are_encoded,),
)
def features_can_be_stored(subject: Subject) -> None:
    """The features come back from the store as they were."""
    first = subject.features[0]
    for row in subject.features:
        for name, array in row.items():
            kind = array.dtype.kind
            require(
                kind in "iu" or array.dtype in (np.float16, np.float32),
                f"The feature {name!r} is {array.dtype}, which the store does not keep.",
                "Return it .astype(np.float32), or as integers.",
            )
            require(
                array.dtype == first[name].dtype and array.ndim == first[name].ndim,
                f"The feature {name!r} is {first[name].dtype} with {first[name].ndim} axes for the first clip, and "
                f"{array.dtype} with {array.ndim} for another.",
            )
            require(kind != "f" or np.isfinite(array).all(), f"The feature {name!r} has values that are no numbers.")
    store = FeatureStore(subject.new_folder("store"))
    store.write([EncodeResult(str(index), row, 1) for index, row in enumerate(subject.features)])
    from datasets import Dataset

    rows = Dataset.from_file(str(next(store.folder.glob("*.arrow")))).with_format("numpy")
    for index, row in enumerate(subject.features):
        stored = restore(rows[index])
        for name, array in row.items():
            require(
                name in stored and np.array_equal(stored[name], array),
                f"The feature {name!r} came back from the store with other values.",
            )


@rule(
    why="A feature is kept under a key of its clip; if it also depends on chance, no run can be repeated.",
    change="Draw nothing at random while encoding: use the mean of a distribution, or np.random.default_rng(0).",
    after=(clips_are_encoded,),
)
def encoding_repeats(subject: Subject) -> None:
    """Encoding one clip twice gives the same arrays, bit for bit."""
    for clip in subject.clips:
        first, again = subject.encode(clip), subject.encode(clip)
        name = differing(first, again)
        require(name is None, f"The feature {name!r} of one clip was different when the clip was encoded again.")


@rule(
    why="Clips are divided among processes, so each machine would encode them in another order, to other features.",
    change="Keep nothing of one clip for the next: no running mean, no counter, no cache under a key that two clips "
    "share.",
    after=(encoding_repeats,),
)
def encoding_is_free_of_order(subject: Subject) -> None:
    """A clip has the same features whichever clips were encoded before it."""
    base = subject.new_base()
    forwards = [subject.encode(clip, base) for clip in subject.clips]
    base = subject.new_base()
    backwards = [subject.encode(clip, base) for clip in reversed(subject.clips)][::-1]
    namesake = subject.other_sound(subject.clips[0])
    for index, (first, second) in enumerate(zip(forwards, backwards, strict=True)):
        name = differing(first, second)
        require(
            name is None,
            f"The feature {name!r} of clip {index + 1} was different when the clips were encoded in the opposite "
            "order.",
        )
    alone, after = subject.encode(namesake, subject.new_base()), subject.encode(namesake, base)
    name = differing(alone, after)
    require(
        name is None,
        f"The feature {name!r} of a clip was different after another clip with the same id, text and length was "
        "encoded.",
        "Key a cache by the content of the clip, not by its id, its text or its length; or keep none.",
    )


@rule(
    why="vtune uses the clip afterwards: for an augmented copy, for the conditioning, for a score.",
    change="Work on a copy: clip.waveform.copy().",
    after=(clips_are_encoded,),
)
def encoding_leaves_the_clip_alone(subject: Subject) -> None:
    """prepare_sample does not change the clip that it gets."""
    for clip in subject.clips:
        given = subject.with_prepared_text(clip)
        subject.call("prepare_sample", base=subject.base, clip=given)
        require(
            np.array_equal(given.waveform, clip.waveform),
            "prepare_sample changed clip.waveform in place.",
        )


@rule(
    why="A clip that is cut loses its last words while its text keeps them, so the voice learns to skip words.",
    change='Raise vtune.SkipClip(f"{len(codes)} tokens, more than max_tokens {limit}") for a clip that does not fit.',
    after=(encoding_is_free_of_order,),
)
def clips_are_not_cut(subject: Subject) -> str | None:
    """A longer clip has longer features, to its last sound and its last word, or is left out with a reason."""
    length_feature = subject.info.length_feature
    started, lengths = time.perf_counter(), list[tuple[float, int]]()
    for seconds in LONG_SECONDS:
        if time.perf_counter() - started > CUTTING_SECONDS:
            break
        clip = subject.clip(seconds, 0, " ".join([TEXT] * max(1, int(seconds / 2))))
        try:
            lengths.append((seconds, len(subject.encode(clip)[length_feature])))
        except SkipClip:
            break
    for (shorter, few), (longer, many) in pairwise(lengths):
        require(
            many > few * (1 + 0.5 * (longer / shorter - 1)),
            f"The feature {length_feature!r} has length {few} for a clip of {shorter:g} s, and {many} for one of "
            f"{longer:g} s.",
        )
    if not lengths:
        raise NotApplicable("prepare_sample leaves out a clip of 2 s")
    seconds = lengths[min(1, len(lengths) - 1)][0]
    clip = subject.clip(seconds, 0, f"{TEXT} and this is the beginning of a text that goes on and then ends with blue")
    _require_seen(subject, clip, _with_other_end(clip), f"the last quarter of the sound of a clip of {seconds:g} s")
    other = Clip(
        clip.id,
        clip.voice,
        clip.text[:-25] + "stops at quite other reds",
        clip.waveform,
        clip.sample_rate,
    )
    _require_seen(subject, clip, other, "the end of its text")
    return None


def _with_other_end(clip: Clip) -> Clip:
    waveform = clip.waveform.copy()
    start = len(waveform) * 3 // 4
    waveform[start:] = np.random.default_rng(0).normal(0, 0.3, len(waveform) - start).clip(-1, 1)
    return Clip(clip.id, clip.voice, clip.text, waveform, clip.sample_rate)


def _require_seen(subject: Subject, clip: Clip, other: Clip, what: str) -> None:
    try:
        first, second = subject.encode(clip), subject.encode(other)
    except SkipClip:
        return
    require(differing(first, second), f"The features of a clip stay the same when {what} changes.")


@rule(
    why="Real data have such clips; an exception stops the whole run at the first of them.",
    change='Take the clip, or raise vtune.SkipClip("the reason, with its numbers").',
    after=(clips_are_encoded,),
)
def strange_clips_are_encoded_or_skipped(subject: Subject) -> None:
    """A very short, a silent or a clipped clip, and a text of any script, is encoded or left out with a reason."""
    usual = subject.clips[0]
    silent = np.zeros_like(usual.waveform)
    loud = np.sign(usual.waveform).astype(np.float32)
    clips = {
        "of 20 ms": Clip(
            "short", usual.voice, usual.text, usual.waveform[: usual.sample_rate // 50], usual.sample_rate
        ),
        "that is silent": Clip("silent", usual.voice, usual.text, silent, usual.sample_rate),
        "that is clipped": Clip("loud", usual.voice, usual.text, loud, usual.sample_rate),
        **{
            f"with the text {text[:30]!r}": Clip("text", usual.voice, text, usual.waveform, usual.sample_rate)
            for text in STRANGE_TEXTS
        },
    }
    for what, clip in clips.items():
        try:
            features = subject.encode(clip)
        except SkipClip:
            continue
        except Exception as error:
            raise BrokenRule(f"A clip {what} raises {reason(error)}.") from error
        for name, array in features.items():
            require(
                array.dtype.kind != "f" or np.isfinite(array).all(),
                f"The feature {name!r} of a clip {what} has values that are no numbers.",
            )


@rule(
    why="A row without the feature stops the training at its first batch.",
    change="Name under paired_features only features that prepare_sample returns, without the prefix 'paired.'.",
    after=(clips_are_encoded,),
)
def paired_features_exist(subject: Subject) -> None:
    """paired_features names features that prepare_sample returns."""
    names = subject.info.paired_features
    if not names:
        raise NotApplicable("engine_info names no paired_features")
    features: Features = subject.features[0]
    strange = sorted(names - features.keys())
    require(
        not strange,
        f"paired_features names {', '.join(map(repr, strange))}, but prepare_sample returns {', '.join(features)}.",
    )
