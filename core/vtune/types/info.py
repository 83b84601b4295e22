"""What an engine or an extension says of itself before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vtune.types.lora import LoraSettings
from vtune.types.options import EngineOptions


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine says of itself before anything is loaded.

    :param sample_rate: Hz, of the audio that it speaks, and of the clips that it is given.
    :param clips_as_recorded: clips come at the rate of their recording instead, for an engine that needs several.
    :param features_version: raise it whenever ``prepare_sample`` returns something else for the same clip.
    :param options: the model behind ``engine_options``; each field is a ``vtune.option`` that says what it affects.
    :param streaming_defaults: values of options for a listener who waits for the first sound; ``vtune serve`` uses them
        unless its own options say otherwise.
    :param lora: what ``lora:`` says when the recipe does not.
    :param lora_targets: presets, name to ends of module names or regular expressions.
    :param paired_features: features that ``collate`` also gets of another clip of the same voice, drawn anew for
        each place in each epoch, as ``paired.<name>``, with a number of [0, 1) as ``paired.lot`` for its own choices.
        A row without them (a voice of one clip, a probe) stands alone.
    :param length_feature: the feature whose first axis grows with the clip; its length is what batches cost.
    :param licence: what the engine's licence asks of users, in a sentence or two; goes onto the card.
    :param licence_id: that licence as the Hub's cards name it (``apache-2.0``, ``llama3.2``), else ``other``.
    :param licence_name: a short name of a licence that is ``other`` to the Hub.
    :param licence_note: what must go with a voice or a merged model that is passed on; a file beside it.
    """

    sample_rate: int
    features_version: str
    options: type[EngineOptions]
    lora: LoraSettings = field(default_factory=LoraSettings)
    lora_targets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    streaming_defaults: Mapping[str, Any] = field(default_factory=dict)
    paired_features: frozenset[str] = frozenset()
    length_feature: str = "input_ids"
    licence: str = ""
    licence_id: str = "other"
    licence_name: str = ""
    licence_note: str = ""
    clips_as_recorded: bool = False


@dataclass(frozen=True, slots=True)
class ExtensionInfo:
    """An extension's own section of a recipe: ``extensions: {name: {...}}`` is read with ``options``."""

    name: str
    options: type[EngineOptions]
