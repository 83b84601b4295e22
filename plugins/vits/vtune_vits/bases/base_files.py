"""What is known of a base before its weights are read, and how the weights are loaded, strictly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Literal

import torch

from vtune.toolkit import hash_file
from vtune.toolkit.strict_tensors import require_same_tensors, require_sane_tensor
from vtune_vits.bases.names import absent_names
from vtune_vits.network.settings import VitsSettings
from vtune_vits.network.voice import VitsNetwork

Tensors = Mapping[str, torch.Tensor]
Format = Literal["piper_onnx", "piper_checkpoint", "transformers"]


@dataclass(frozen=True)
class BaseText:
    """How a base's texts become ids.

    A Piper voice reads ``begin blank (symbol blank)* end``, a model of transformers with blanks
    ``blank (symbol blank)*``, and one without them ``symbol*``.
    """

    kind: Literal["espeak", "characters", "uroman"]
    """What the symbols are: phonemes of espeak-ng, characters, or characters after romanisation by uroman."""

    symbols: Mapping[str, tuple[int, ...]]
    """Ids of each symbol. A symbol of two characters or more is a cluster."""

    language: str = ""
    """The voice of espeak-ng, or the language's code; empty if the base names none."""

    locale: str = ""
    """The language and the country as Piper's files state them, such as ``de_DE``; empty if the base names none."""

    begin: tuple[int, ...] = ()
    blank: tuple[int, ...] | None = None
    """Ids between symbols; None: symbols follow each other."""

    end: tuple[int, ...] = ()
    blank_first: bool = False
    """Whether a blank stands before the first symbol also where there is no begin."""

    lowercase: bool = False
    """Whether texts are made lower case, and characters that have no symbol are left out without a warning."""

    decompose: bool = False
    """Whether characters are decomposed (NFD), so that an accent is a symbol of its own, as Piper's are."""

    clusters: tuple[tuple[str, ...], ...] = ()
    """Phonemes that follow each other and are one symbol, such as a and ɪ."""

    replacements: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Phonemes that a voice reads as others (``phoneme_map`` of older Piper voices)."""

    speakers: Mapping[str, int] = field(default_factory=dict)
    """Numbers of the speakers by name; empty for a voice of one speaker, or one whose speakers have no names."""

    default_speaker: int = 0


@dataclass(frozen=True)
class BaseFiles:
    """A base: what its files say, and its weights, which are read when they are loaded."""

    format: Format
    source: str
    """The path or Hub id, for messages."""

    paths: tuple[Path, ...]
    """All files that the base's sound depends on, the weights first."""

    settings: VitsSettings
    text: BaseText
    fingerprint: str
    """Hash of all files, hexadecimal."""

    has_posterior: bool
    """Whether the base has a posterior encoder, without which nobody learns from recordings."""

    has_duration_posterior: bool
    """Whether the base has what durations are learned with; True if durations are not stochastic."""

    licence: str
    """The licence that the files name; empty if they name none."""

    read_tensors: Callable[[], Tensors]
    """Read all weights, by their names in the file, weight normalisation folded."""

    name_in_file: Callable[[str], str]
    """The name in the file of a tensor of the network."""

    read_discriminators: Callable[[], Tensors] | None = None
    """Read the weights of the discriminators by their names in the file; None if the base has none."""

    def load(self, network: VitsNetwork) -> None:
        """Load the base's weights; parts that the base has not keep their values.

        :raises EngineError: names every tensor that is missing, unexpected or of another shape, or the first one that
            holds NaN, infinity or an absurd number.
        """
        absent = absent_names(
            self.settings, posterior=self.has_posterior, duration_posterior=self.has_duration_posterior
        )
        load_strictly(network, self.read_tensors(), self.source, self.name_in_file, absent)


def fingerprint_of(paths: Iterable[Path]) -> str:
    """Return a hash of the content of files, hexadecimal with 16 digits.

    :raises FileRefused: one of them is not a regular file.
    """
    return sha256(" ".join(map(hash_file, paths)).encode()).hexdigest()[:16]


def load_strictly(
    network: VitsNetwork,
    tensors: Tensors,
    source: str,
    name_in_file: Callable[[str], str],
    absent: tuple[str, ...] = (),
) -> None:
    """Copy tensors into a network; nothing is copied if anything does not fit.

    :param tensors: by their names in the file.
    :param absent: beginnings of names in the network that the file lacks.
    :raises EngineError: see `BaseFiles.load`.
    """
    targets = {
        name_in_file(name): parameter
        for name, parameter in network.state_dict(keep_vars=True).items()
        if not name.startswith(absent)
    }
    require_same_tensors(
        {name: tuple(tensor.shape) for name, tensor in tensors.items()},
        {name: tuple(target.shape) for name, target in targets.items()},
        f"{source} does not hold this VITS network",
        _fits,
    )
    for name in targets:
        require_sane_tensor(tensors[name], name, source)
    with torch.no_grad():
        for name, target in targets.items():
            target.copy_(tensors[name].reshape(target.shape))


def _fits(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    """Return whether shapes are equal; a linear layer may be a convolution of kernel 1 in the file."""
    return shape in (target, (*target, 1))
