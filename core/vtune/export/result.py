"""What a target leaves behind beside its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vtune.export.card import Form
from vtune.export.verify import Comparison


@dataclass(frozen=True, slots=True)
class Written:
    """One export.

    :param form: for its card.
    :param compared: with the voice, after it was written.
    :param dtype: of the weights.
    :param base: what it has to be loaded onto; None for a whole model.
    :param rules: of the software that it is for, each with what was found.
    :param commands: to go on with.
    :param notes: what the user should know.
    """

    form: Form
    compared: Comparison
    dtype: str
    base: str | None = None
    rules: Mapping[str, str] = field(default_factory=dict)
    commands: Sequence[str] = ()
    notes: Sequence[str] = ()
