"""What a voice keeps beside its adapter: extracted, written, read back and mixed."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath, PureWindowsPath

import numpy as np

from vtune.testing.rule import NotApplicable, require, rule
from vtune.testing.rules.clips import clips_are_encoded
from vtune.testing.subject import Subject, array_change, differing
from vtune.types import Clip, Conditioning
from vtune.voice_format.record import MAX_CONDITIONING_BYTES, read_conditioning, write_conditioning

MAX_STRING_CHARACTERS = 100_000

CLIPS_OF_A_VOICE = 8
"""Clips that a run gives to extract_conditioning, of about 6 s each."""


@rule(
    why="Without it there is no voice.",
    change="Return vtune.Conditioning(tensors, strings); both may be empty.",
    after=(clips_are_encoded,),
)
def conditioning_is_extracted(subject: Subject) -> None:
    """extract_conditioning returns what the voice keeps of its clips, of several and of a single one."""
    for clips in (subject.clips, subject.clips[:1]):
        kept = _extracted(subject, clips)
        require(
            isinstance(kept, Conditioning),
            f"extract_conditioning returned a {type(kept).__name__} for {len(clips)} clips.",
        )


def _extracted(subject: Subject, clips: Sequence[Clip]) -> Conditioning:
    prepared = [subject.with_prepared_text(clip) for clip in clips]
    kept: Conditioning = subject.call("extract_conditioning", base=subject.base, clips=prepared)
    return kept


@rule(
    why="The voice is one safetensors file, which holds arrays of numbers and short texts; nothing else can be "
    "written, "
    "and nothing else could be read from a stranger's voice without running code.",
    change="Keep NumPy arrays (tensor.float().cpu().numpy()), and texts: str(number), json.dumps(values).",
    after=(conditioning_is_extracted,),
)
def conditioning_is_plain(subject: Subject) -> str | None:
    """A conditioning holds arrays of numbers and short texts."""
    conditioning = _extracted(subject, subject.clips)
    wide = []
    for name, array in conditioning.tensors.items():
        require(isinstance(array, np.ndarray), f"The tensor {name!r} is a {type(array).__name__}, not a NumPy array.")
        require(array.dtype.kind in "fiub", f"The tensor {name!r} has the dtype {array.dtype}: it holds no numbers.")
        require(
            array.dtype.kind != "f" or np.isfinite(array).all(), f"The tensor {name!r} has values that are no numbers."
        )
        wide += [name] if array.dtype == np.float64 else []
    for name, text in conditioning.strings.items():
        require(
            isinstance(name, str) and isinstance(text, str),
            f"The string {name!r} is {text!r}, which is no text.",
        )
        require(
            len(text) <= MAX_STRING_CHARACTERS,
            f"The string {name!r} has {len(text):,} characters.",
            "Keep numbers as tensors; strings are for names and short settings.",
        )
    return f"{', '.join(wide)}: float64; float32 would take half the space" if wide else None


@rule(
    why="The voice would speak on this machine alone, and tell everybody who gets it the names of your folders.",
    change="Keep what the file holds, as a tensor; or a name that every machine knows, such as that of a preset.",
    after=(conditioning_is_plain,),
)
def conditioning_names_no_files(subject: Subject) -> None:
    """No string of a conditioning is the path of a file or a folder on this machine."""
    for name, text in subject.conditioning.strings.items():
        is_path = PurePosixPath(text).is_absolute() or PureWindowsPath(text).is_absolute()
        require(not is_path, f"The string {name!r} of the conditioning is the path {text!r}.")


@rule(
    why="A voice may be published; nobody who gave a recording has agreed that the recording itself goes along.",
    change="Keep what the network needs of the sound (an embedding, codes, a spectrogram), not the waveform.",
    after=(conditioning_is_plain,),
)
def conditioning_keeps_no_recording(subject: Subject) -> None:
    """A voice keeps no recording of the speaker, and a few megabytes at most."""
    conditioning = subject.condition(subject.clips)
    for name, array in conditioning.tensors.items():
        flat = np.ravel(array).astype(np.float64)
        for index, clip in enumerate(subject.clips):
            require(
                not _holds(flat, clip.waveform),
                f"The tensor {name!r} holds the waveform of clip {index + 1}, {clip.seconds:.1f} s.",
            )
    many = [replace(subject.clip(6.0, number), id=f"long-{number}") for number in range(CLIPS_OF_A_VOICE)]
    size = sum(array.nbytes for array in subject.condition(many).tensors.values())
    require(
        size < MAX_CONDITIONING_BYTES / 4,
        f"For {CLIPS_OF_A_VOICE} clips of 6 s, the conditioning has {size / 1e6:.0f} MB.",
    )


def _holds(values: np.ndarray, waveform: np.ndarray) -> bool:
    """Tell whether values contain a waveform, in any scale."""
    count = min(len(waveform), 2000)
    start = (len(waveform) - count) // 2
    excerpt = waveform[start : start + count].astype(np.float64)
    if len(values) < count or np.ptp(excerpt) == 0:
        return False
    excerpt = (excerpt - excerpt.mean()) / np.linalg.norm(excerpt - excerpt.mean())
    windows = np.correlate(values, excerpt, "valid")
    sums = np.convolve(values, np.ones(count), "valid")
    squares = np.convolve(values**2, np.ones(count), "valid")
    norms = np.sqrt(np.maximum(squares - sums**2 / count, 1e-12))
    return bool((np.abs(windows) / norms > 0.999).any())


@rule(
    why="A finished voice is not made again if nothing has changed; if it were, it would be another voice.",
    change="Draw nothing at random; pick clips by what they are, not by chance, and change none of them.",
    after=(conditioning_is_plain,),
)
def conditioning_repeats(subject: Subject) -> None:
    """The same clips give the same conditioning, and stay as they are."""
    given = [subject.with_prepared_text(clip) for clip in subject.clips]
    first: Conditioning = subject.call("extract_conditioning", base=subject.base, clips=given)
    again = _extracted(subject, subject.clips)
    name = differing(first.tensors, again.tensors)
    require(
        name is None,
        f"The tensor {name!r} was another one when the same clips were given again: "
        f"{array_change(first.tensors, again.tensors, name)}.",
    )
    require(
        dict(first.strings) == dict(again.strings), "The strings were different when the same clips were given again."
    )
    changed = any(not np.array_equal(a.waveform, b.waveform) for a, b in zip(given, subject.clips, strict=True))
    require(not changed, "extract_conditioning changed the waveform of a clip in place.")


@rule(
    why="Every voice is opened from its file; it would sound otherwise than in the run that made it.",
    change="Keep each array in the dtype and shape that speaking needs, and read it as it comes from the file.",
    after=(conditioning_is_plain,),
)
def conditioning_comes_back(subject: Subject) -> None:
    """The conditioning comes back from its file as it went in."""
    kept = subject.conditioning
    path = subject.new_folder("conditioning") / "conditioning.safetensors"
    write_conditioning(kept, path)
    back = read_conditioning(path)
    require(dict(back.strings) == dict(kept.strings), "The strings came back from their file with other texts.")
    name = differing(kept.tensors, back.tensors)
    require(
        name is None,
        f"The tensor {name!r} came back from its file as another one: "
        f"{array_change(kept.tensors, back.tensors, name)}.",
    )


@rule(
    why="A mix of one voice with itself would be another voice.",
    change="Return the parts' own dtype and shape; weigh numbers, and take everything else from the first part.",
    after=(conditioning_comes_back,),
)
def mixing_a_voice_with_itself_changes_nothing(subject: Subject) -> None:
    """A voice that is mixed with itself keeps its conditioning."""
    subject.require_support("mixing")
    kept = subject.conditioning
    mixed = subject.engine.mix_conditioning(subject.base, [copy.deepcopy(kept), copy.deepcopy(kept)], [0.75, 0.25])
    require(dict(mixed.strings) == dict(kept.strings), "The strings changed in a mix of a voice with itself.")
    name = differing(kept.tensors, mixed.tensors, 1e-5)
    require(
        name is None,
        f"The tensor {name!r} changed in a mix of a voice with itself: "
        f"{array_change(kept.tensors, mixed.tensors, name)}.",
    )


def _parts(subject: Subject) -> list[Conditioning]:
    other = [replace(subject.clip(seconds, number), voice="another") for number, seconds in ((5, 1.1), (7, 2.3))]
    return [copy.deepcopy(subject.conditioning), subject.condition(other)]


@rule(
    why="`vtune say '0.9*anna+0.1*ben'` would sound as any other mix of the two.",
    change="Use the weights (np.average(arrays, axis=0, weights=weights)), or take the first part, which has the "
    "largest "
    "weight.",
    after=(mixing_a_voice_with_itself_changes_nothing,),
)
def mixing_uses_the_weights(subject: Subject) -> None:
    """A mix follows the weights, or is the voice with the largest weight."""
    parts = _parts(subject)
    if differing(parts[0].tensors, parts[1].tensors) is None:
        raise NotApplicable("two voices keep the same arrays")
    much, less = (
        subject.engine.mix_conditioning(subject.base, copy.deepcopy(parts), weights)
        for weights in ([0.95, 0.05], [0.55, 0.45])
    )
    ignored = [
        name
        for name, array in parts[0].tensors.items()
        if array.dtype.kind == "f"
        and name in much.tensors
        and not _same(array, parts[1].tensors.get(name))
        and _same(much.tensors[name], less.tensors.get(name))
        and not _same(much.tensors[name], array)
    ]
    require(
        not ignored,
        f"The tensor {', '.join(map(repr, ignored))} of a mix is the same with the weights 0.95 and 0.05 as with 0.55 "
        "and 0.45, and is not that of the first voice.",
    )


def _same(first: np.ndarray, second: np.ndarray | None) -> bool:
    return second is not None and first.shape == second.shape and bool(np.array_equal(first, second))


@rule(
    why="`vtune serve` keeps the voices that it has opened; a request for a mix would change them.",
    change="Make new arrays and dictionaries; change none of the parts' in place.",
    after=(mixing_a_voice_with_itself_changes_nothing,),
)
def mixing_leaves_the_parts_alone(subject: Subject) -> None:
    """mix_conditioning does not change the conditioning of the voices."""
    parts = _parts(subject)
    given = copy.deepcopy(parts)
    subject.engine.mix_conditioning(subject.base, given, [0.7, 0.3])
    for index, (part, before) in enumerate(zip(given, parts, strict=True)):
        name = differing(part.tensors, before.tensors)
        require(name is None, f"mix_conditioning changed the tensor {name!r} of voice {index + 1} in place.")
        require(
            dict(part.strings) == dict(before.strings),
            f"mix_conditioning changed the strings of voice {index + 1} in place.",
        )
