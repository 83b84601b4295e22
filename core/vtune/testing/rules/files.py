"""What is written: adapters, voices and merged networks, and what comes back."""

from __future__ import annotations

import pickletools
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from vtune.errors import VtuneError, listed
from vtune.runtime.paths import VoiceFolder
from vtune.testing.rule import BrokenRule, NotApplicable, require, rule
from vtune.testing.rules.adapter import adapter_can_be_switched_off, adapter_comes_back, answers
from vtune.testing.rules.conditioning import conditioning_comes_back
from vtune.testing.rules.heard import adapter_is_heard
from vtune.testing.subject import TEXT, Subject, difference, differing, same_sound, sound_of
from vtune.voice_format.record import read_conditioning, write_conditioning
from vtune.voice_format.weights import load_weights

if TYPE_CHECKING:
    from torch import nn

TENSOR_MODULES = frozenset({"torch", "collections", "numpy"})
"""What a pickle of tensors names, which torch.load(..., weights_only=True) reads. A merged network may be in the format
of other software; a voice is vtune's own."""

MERGE_TOLERANCE = 1e-3
"""Largest difference of the answers of a merged network in float32, as a share of the largest answer."""


@rule(
    why="A merged model is what other software loads; it would be another voice.",
    change="Adapt layers whose weights no other layer shares (untie the head from the embedding), and call layers "
    "instead of computing with their weights elsewhere; or leave 'merging' out of EngineInfo.supports.",
    after=(adapter_comes_back,),
)
def merged_network_answers_alike(subject: Subject) -> None:
    """With the adapter folded into its weights, the network answers as with the adapter beside them."""
    subject.require_support("merging")
    beside = answers(subject.model(awake=0.3), subject)
    merged = answers(_merged(subject), subject)
    _require_alike(beside, merged, "Merged in memory, the network answers differently")


def _merged(subject: Subject) -> nn.Module:
    model: Any = subject.model(awake=0.3)
    network: nn.Module = model.merge_and_unload()
    return network.eval()


def _require_alike(beside: torch.Tensor, merged: torch.Tensor, seen: str) -> None:
    require(beside.shape == merged.shape, f"{seen}: its answers have the shape {list(merged.shape)}.")
    off = float((beside - merged).abs().max() / beside.abs().max().clamp(min=1e-9))
    require(off <= MERGE_TOLERANCE, f"{seen}, by {off:.2g} of the largest answer; {MERGE_TOLERANCE:g} is allowed.")


@rule(
    why="`vtune merge` would write a model that does not speak as the voice does.",
    change="Write the network that save_merged gets, with all of its weights: network.state_dict() in safetensors.",
    after=(merged_network_answers_alike,),
)
def merged_files_come_back(subject: Subject) -> None:
    """What save_merged writes is the merged network: loaded again, it answers alike."""
    subject.require_support("merging")
    beside = answers(subject.model(awake=0.3), subject)
    folder = subject.new_folder("merged")
    network = _merged(subject)
    written = subject.engine.save_merged(subject.base, network, folder)
    require(written, "save_merged names no file.")
    _require_alike(beside, answers(network, subject), "After save_merged, the network in memory answers differently")
    loaded = _loaded(subject, folder)
    _require_alike(beside, answers(loaded, subject), "Loaded again, the merged network answers differently")


def _loaded(subject: Subject, folder: Path) -> nn.Module:
    """Load a merged network as the engine's base, or as weights of the engine's network."""
    if "base_model" in subject.info.options.model_fields:
        return subject.model(base=subject.new_base(base_model=str(folder)))
    model: Any = subject.model()
    network: nn.Module = model.unload()
    try:
        load_weights(network, folder)
    except VtuneError as error:
        raise BrokenRule(
            f"The merged files cannot be loaded into the engine's network: {error}.",
            "Write the whole state_dict of the network as model.safetensors, or give the engine an option base_model "
            "that takes the folder.",
        ) from error
    return network.eval()


@rule(
    why="vtune, PEFT and every server look for the adapter at the root of the voice's folder.",
    change="Write model.save_pretrained(directory) and the conditioning, and return the files: the default does it.",
    after=(conditioning_comes_back, adapter_can_be_switched_off),
)
def export_writes_the_voice(subject: Subject) -> None:
    """export_voice writes a PEFT adapter and the conditioning, and names the files that it has written."""
    folder = subject.new_folder("voice")
    written = subject.call(
        "export_voice", base=subject.base, model=subject.model(awake=0.3), conditioning=subject.conditioning,
        directory=folder,
    )  # fmt: skip
    voice = VoiceFolder(folder)
    present = {path.name for path in folder.rglob("*") if path.is_file()}
    for path in (voice.adapter_config, folder / "adapter_model.safetensors", voice.conditioning):
        require(path.is_file(), f"export_voice wrote {listed(sorted(present))}: {path.name} is missing.")
    require(
        isinstance(written, list | tuple) and written and all(Path(path).exists() for path in written),
        f"export_voice returned {str(written)[:200]}, not the list of the files that it has written.",
    )


@rule(
    why="A pickle can run any code when it is loaded; vtune opens no voice that has one.",
    change="Write tensors with safetensors.torch.save_file, settings as JSON; read files with weights_only=True.",
    after=(export_writes_the_voice,),
)
def no_pickles_are_written(subject: Subject) -> None:
    """Voices hold no pickles, and merged networks none that name anything but tensors."""
    folders = [subject.new_folder("voice"), subject.new_folder("merged")]
    subject.engine.export_voice(subject.base, subject.model(), subject.conditioning, folders[0])
    if "merging" in subject.supports:
        subject.engine.save_merged(subject.base, _merged(subject), folders[1])
    for path in sorted(path for path in folders[0].rglob("*") if path.is_file()):
        require(_pickled_names(path) is None, f"export_voice wrote the pickle {path.name}.")
    for path in sorted(path for path in folders[1].rglob("*") if path.is_file()):
        names = _pickled_names(path) or set()
        strange = sorted(name for name in names if name.partition(".")[0] not in TENSOR_MODULES)
        require(not strange, f"save_merged wrote the pickle {path.name}, which names {listed(strange)}.")


def _pickled_names(path: Path) -> set[str] | None:
    """Return the classes and functions that a pickle names; None for a file that is no pickle."""
    content = path.read_bytes()
    if zipfile.is_zipfile(path):
        archive = zipfile.ZipFile(path)
        pickles = [name for name in archive.namelist() if name.endswith(".pkl")]
        if not pickles:
            return None
        content = archive.read(pickles[0])
    elif content[:1] != b"\x80" or len(content) < 2 or content[1] > 5:
        return None
    names: set[str] = set()
    texts: list[str] = []
    try:
        for code, argument, _ in pickletools.genops(content):
            if code.name == "GLOBAL":
                names.add(str(argument).replace(" ", "."))
            elif code.name == "STACK_GLOBAL":
                names.add(".".join(texts[-2:]))
            elif isinstance(argument, str):
                texts.append(argument)
    except ValueError:
        return None
    return names


@rule(
    why="A voice is spoken from its file; in the run that made it, it would have sounded otherwise.",
    change="Let synthesize depend on the arrays and texts of the conditioning alone, not on the object, on what the "
    "base "
    "remembers of its extraction, or on a precision that the file does not keep.",
    after=(conditioning_comes_back, adapter_is_heard),
)
def written_conditioning_speaks_alike(subject: Subject) -> None:
    """Speech from the conditioning that was written and read back is that from the original one."""
    path = subject.new_folder("conditioning") / "conditioning.safetensors"
    kept = subject.conditioning
    write_conditioning(kept, path)
    model, base = subject.model(), subject.new_base()
    usual = sound_of(subject.speak(TEXT, 5, model=model))
    back = read_conditioning(path)
    for other, what in ((subject.base, "on the same base"), (base, "on a base that was loaded again")):
        adapter = model if other is subject.base else subject.model(base=base)
        spoken = sound_of(subject.speak(TEXT, 5, base=other, model=adapter, conditioning=back))
        require(
            same_sound(usual, spoken),
            f"With the conditioning from its file, {what}, a text sounded different: "
            f"{difference(usual, spoken, subject.info.sample_rate)}.",
        )


@rule(
    why="A user hears the voice only after it was written and opened again.",
    change="Let speech depend on the adapter, the conditioning and the base alone: keep in the conditioning whatever "
    "else of the clips or the options speech needs.",
    after=(export_writes_the_voice, written_conditioning_speaks_alike),
)
def exported_voice_speaks_alike(subject: Subject) -> None:
    """A voice that was exported and opened again, on another base, speaks to the last sample as before."""
    rate = subject.info.sample_rate
    model = subject.model(awake=0.3)
    usual = sound_of(subject.speak(TEXT, 5, model=model))
    folder = subject.new_folder("voice")
    subject.engine.export_voice(subject.base, model, subject.conditioning, folder)
    conditioning = read_conditioning(VoiceFolder(folder).conditioning)
    name = differing(subject.conditioning.tensors, conditioning.tensors)
    require(name is None, f"export_voice wrote the tensor {name!r} of the conditioning with other values.")
    base = subject.new_base()
    opened = subject.model(base=base)
    load_weights(opened, folder)
    opened.eval()
    spoken = sound_of(subject.speak(TEXT, 5, base=base, model=opened, conditioning=conditioning))
    require(
        same_sound(usual, spoken),
        f"Opened again, the voice sounds different: {difference(usual, spoken, rate)}.",
    )


@rule(
    why="What belongs to no voice would be published with it, and a voice would hold weights that nobody can use.",
    change="Write the adapter alone: model.save_pretrained(directory), without the modules of training_parts.",
    after=(export_writes_the_voice,),
)
def training_parts_are_not_exported(subject: Subject) -> None:
    """The voice holds no tensor of the parts that are trained beside the adapter."""
    model = subject.model(awake=0.3)
    parts = subject.engine.training_parts(subject.base, model)
    if not parts:
        raise NotApplicable("the engine trains nothing beside the adapter")
    folder = subject.new_folder("voice")
    subject.engine.export_voice(subject.base, model, subject.conditioning, folder)
    from safetensors.torch import load_file

    kept = [tensor for path in folder.rglob("*.safetensors") for tensor in load_file(str(path)).items()]
    for part_name, part in parts.items():
        for parameter in part.module.parameters():
            same = [n for n, t in kept if t.shape == parameter.shape and parameter.numel() > 1 and bool(parameter.any())
                    and torch.equal(t.float(), parameter.detach().float())]  # fmt: skip
            require(not same, f"The exported voice holds a tensor of the part {part_name!r}: {listed(same)}.")
