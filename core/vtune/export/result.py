"""What a target reports about the files that it wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vtune.export.card import Form
    from vtune.export.verify import AnswerComparison


@dataclass(frozen=True, slots=True)
class ExportResult:
    """One export.

    :param form: what the card says about the files.
    :param compared: the answers of the written files beside those of the voice.
    :param dtype: of the weights: ``bf16``, ``fp16`` or ``fp32``.
    :param base: the base that the files have to be loaded onto; None for a whole model.
    :param rules: rules of the software that the files are for, each with what was found.
    :param commands: shell commands that use the files.
    :param notes: sentences that the user should read.
    """

    form: Form
    compared: AnswerComparison
    dtype: str
    base: str | None = None
    rules: Mapping[str, str] = field(default_factory=dict)
    commands: Sequence[str] = ()
    notes: Sequence[str] = ()
