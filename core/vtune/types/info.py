"""What an engine or an extension declares about itself before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from vtune.types.lora import LoraSettings
from vtune.types.options import EngineOptions

Capability = Literal["text", "streaming", "mixing", "merging", "qlora", "full"]
"""What an engine may be unable to do.

- ``"text"``: speak a text (``synthesize``); an engine without it only converts speech (``convert``).
- ``"streaming"``: yield the first sound before the last sound is computed.
- ``"mixing"``: speak with the mean of several voices.
- ``"merging"``: fold an adapter into the base, which ``vtune merge`` and some export targets need.
- ``"qlora"``: train on a base with 4-bit weights (``train.method: lora`` with a quantised base).
- ``"full"``: train all weights of the network (``train.method: full``).
"""

CAPABILITIES: frozenset[Capability] = frozenset(get_args(Capability))


@dataclass(frozen=True, slots=True)
class Licence:
    """What a licence requires of whoever has a voice, or passes the voice on.

    :param terms: what it requires, in a sentence or two, for the voice's card.
    :param licence_id: its name on the Hub (``apache-2.0``, ``llama3.2``), otherwise ``other``.
    :param licence_name: a short name if ``licence_id`` is ``other``.
    :param note: the text that must accompany a voice or a merged model; it is written as a file beside it.
    """

    terms: str
    licence_id: str = "other"
    licence_name: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine declares about itself before anything is loaded.

    :param sample_rate: in Hz, of the audio that the engine speaks and of the clips that it gets.
    :param clips_as_recorded: clips keep the sample rate of their recording, for an engine that needs several rates.
    :param features_version: change it whenever ``prepare_sample`` returns other arrays for the same clip.
    :param options: the model behind ``engine_options``; each field is a ``vtune.option`` that says what it affects.
    :param streaming_defaults: values of options for a listener who waits for the first sound; ``vtune serve`` uses them
        unless its own options say otherwise.
    :param lora: the defaults of the recipe's section ``lora``.
    :param lora_targets: presets for ``lora.targets``: a name to ends of module names or regular expressions.
    :param paired_features: features that ``collate`` also gets of another clip of the same voice, as
        ``paired.<name>``; the other clip is chosen at random for each row in each epoch. A row without them (a voice of
        one clip, a probe) stands alone.
    :param length_feature: the feature whose first axis grows with the clip; batches are built by its length, and it
        is what a speed in tokens per second counts.
    :param features_by_network: ``prepare_sample`` computes features with the network, such as an alignment. A merged
        network then gives other features, so a merge compares the network's answers alone.
    :param supports: what the engine can do; leave out what it cannot do, and vtune says so before a run, a mix or an
        export begins.
    :param recipes: a folder of ``*.yaml`` recipes in the engine's package; users name them like vtune's own.
    :param licence: what the licence of the engine's weights requires of users, in a sentence or two, for the voice's
        card; if it depends on the base, see the hook ``base_licence``.
    :param licence_id: the name of the licence on the Hub (``apache-2.0``, ``llama3.2``), otherwise ``other``.
    :param licence_name: a short name of the licence if ``licence_id`` is ``other``.
    :param licence_note: the text that must accompany a voice or a merged model; it is written as a file beside it.
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
    features_by_network: bool = False
    supports: frozenset[Capability] = CAPABILITIES
    recipes: Path | None = None


@dataclass(frozen=True, slots=True)
class ExtensionInfo:
    """What an extension declares about itself.

    :param name: of its section in a recipe, ``extensions: {name: {...}}``.
    :param options: the model that checks the section; each field is a ``vtune.option``.
    :param opt_in: the extension is active only in runs whose recipe has its section, and with the voices of such runs.
        Otherwise it is active in every run, and each of its options needs a default.
    :param version: change it whenever the extension's wrappers give other features, another training or other speech,
        so that these are made again.
    """

    name: str
    options: type[EngineOptions]
    opt_in: bool = False
    version: str = "1"
