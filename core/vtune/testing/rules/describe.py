"""What the engine says of itself."""

from __future__ import annotations

import time
from pathlib import Path

from pydantic import ValidationError

from vtune.engines.plugin_manager import new_manager
from vtune.errors import first_problem
from vtune.testing.rule import BrokenRule, NotApplicable, require, rule
from vtune.testing.subject import Subject
from vtune.testing.watch import observed_calls
from vtune.types import effects_of

INFO_SECONDS = 0.5
"""Longest time that engine_info may take; those of this repository take less than a millisecond."""

HEAVY_MODULES = frozenset({"torch", "transformers", "peft", "datasets", "scipy", "librosa", "torchaudio"})


@rule(
    why="No command can use an engine that cannot be imported; `vtune engines` lists it with this error.",
    change="Mend what the message names, and reinstall the engine's distribution.",
)
def engine_imports(subject: Subject) -> None:
    """The engine is installed, or is a file, and can be imported."""
    _ = subject.module


@rule(
    why="pluggy would accept the hook without a word, and call it with missing values, or never.",
    change="Write the hook with the name and the arguments of its specification (reference page of the hooks).",
    after=(engine_imports,),
)
def hooks_match_the_contract(subject: Subject) -> None:
    """Every required hook is there, and each has the arguments of its specification, without defaults."""
    new_manager(subject.module, f"engine {subject.name!r}")


@rule(
    why="vtune reads sample rate, options and presets from it before anything is loaded.",
    change="Return a vtune.EngineInfo whose fields have the types of the reference page.",
    after=(hooks_match_the_contract,),
)
def info_is_valid(subject: Subject) -> None:
    """engine_info describes the engine: rate, options with what they affect, presets, licence."""
    _ = subject.engine


@rule(
    why="Every command calls engine_info, `vtune engines` and `vtune recipe check` too; users wait for it each time.",
    change="Return a vtune.EngineInfo of constants; read files and import torch inside the other hooks.",
    after=(info_is_valid,),
)
def info_is_instant(subject: Subject) -> str | None:
    """engine_info returns at once: it reads no file, uses no network and imports no torch."""
    with observed_calls() as observed:
        started = time.perf_counter()
        subject.call("engine_info")
        seconds = time.perf_counter() - started
    heavy = sorted(HEAVY_MODULES.intersection(name.partition(".")[0] for name in observed.imported))
    require(not heavy, f"engine_info imports {', '.join(heavy)}.", f"Import {', '.join(heavy)} inside the other hooks.")
    files = [Path(path).name for path in observed.opened if not path.endswith((".py", ".pyc"))]
    for name in (*files, *observed.written):
        raise BrokenRule(f"engine_info opens the file {name}.")
    require(seconds < INFO_SECONDS, f"engine_info took {seconds:.1f} s; {INFO_SECONDS} s are allowed.")
    if any(getattr(value, "__name__", "") == "torch" for value in vars(subject.module).values()):
        return "the module imports torch; inside the hooks, `vtune engines` would not wait for it"
    return None


@rule(
    why="`vtune serve` would refuse every voice of the engine, or never use the value.",
    change="Give under streaming_defaults values that the options take, of options that affect sampling or runtime.",
    after=(info_is_valid,),
)
def streaming_defaults_are_valid(subject: Subject) -> None:
    """The streaming defaults are values that the engine's options take, and that a server can use."""
    defaults = dict(subject.info.streaming_defaults)
    if not defaults:
        raise NotApplicable("engine_info has no streaming_defaults")
    try:
        subject.info.options.model_validate({**subject.options, **defaults})
    except ValidationError as error:
        raise BrokenRule(f"The options refuse streaming_defaults: {first_problem(error)}.") from error
    for name in defaults:
        effects = effects_of(subject.info.options, name)
        require(
            {"sampling", "runtime"} & set(effects),
            f"streaming_defaults gives {name!r} another value, but the option affects {' and '.join(effects)}: a "
            "finished voice keeps the value it was made with, so a server cannot use another one.",
        )


@rule(
    why="A recipe that comes with the engine is the first thing that its users try.",
    change="Mend the recipe where the message says, or point EngineInfo.recipes to the folder that holds them.",
    after=(info_is_valid,),
)
def recipes_load(subject: Subject) -> None:
    """Every recipe that the engine ships can be loaded."""
    folder = subject.info.recipes
    if folder is None:
        raise NotApplicable("engine_info names no recipes")
    require(folder.is_dir(), f"engine_info names the folder of recipes {str(folder)!r}, which is not there.")
    paths = sorted(folder.glob("*.yaml"))
    require(paths, f"The folder of recipes {str(folder)!r} has no file *.yaml.")
    from vtune.engines import load_foreign_recipe

    for path in paths:
        recipe = load_foreign_recipe(path)
        require(
            recipe.engine == subject.name or recipe.engine in subject.name,
            f"The recipe {path.name} is for the engine {recipe.engine!r}, not for this one.",
        )


@rule(
    why="`vtune export` reads the targets of the engine before it writes any voice, to one of vtune's own targets too.",
    change="Return a list of vtune.contract.exports.ExportTarget, each under a name that vtune does not have yet.",
    after=(info_is_valid,),
)
def export_targets_are_valid(subject: Subject) -> None:
    """The export targets that the engine brings are complete, and their names are new."""
    if not subject.implements("export_targets"):
        raise NotApplicable("the engine brings no export targets")
    from vtune.export.export import export_targets

    export_targets(subject.engine)


@rule(
    why="`vtune plan` prints the estimate, and a run that it says does not fit into memory is refused.",
    change="Return a vtune.Footprint with the numbers of its documentation, or None if you cannot estimate.",
    after=(info_is_valid,),
)
def footprint_is_plausible(subject: Subject) -> None:
    """The estimate for `vtune plan` is a Footprint of plausible numbers, or None."""
    estimates = {}
    for dtype_bytes in (2, 4):
        estimates[dtype_bytes] = subject.engine.footprint(subject.engine_options, subject.info.lora, dtype_bytes)
    footprint, wide = estimates[2], estimates[4]
    if footprint is None or wide is None:
        raise NotApplicable("the engine gives no footprint")
    require(
        0 < footprint.trainable <= footprint.parameters + footprint.trainable and footprint.parameters > 0,
        f"footprint gives {footprint.parameters:,} parameters, {footprint.trainable:,} of them trainable.",
    )
    require(
        footprint.parameters / 4 <= footprint.weight_bytes <= wide.weight_bytes <= footprint.parameters * 16,
        f"footprint gives {footprint.weight_bytes:,} bytes of weights at 2 bytes a number and {wide.weight_bytes:,} at "
        f"4, for {footprint.parameters:,} parameters.",
        "Return weight_bytes=parameters * dtype_bytes, plus what stays in another dtype.",
    )
    for name in ("tokens_per_second", "token_bytes", "token_bytes_checkpointed", "token_flops"):
        value = getattr(footprint, name)
        require(value > 0, f"footprint gives {name} {value:g}; no training needs nothing.")
    require(
        footprint.tokens_per_second <= subject.info.sample_rate,
        f"footprint gives {footprint.tokens_per_second:,.0f} tokens for one second of sound, more than its "
        f"{subject.info.sample_rate:,} samples.",
    )
    require(
        footprint.longest_seconds is None or footprint.longest_seconds >= 1,
        f"footprint says that no clip is longer than {footprint.longest_seconds} s.",
        "Give longest_seconds in seconds, or None if the engine has no limit.",
    )


@rule(
    why="Memory and time of a training are computed from this number.",
    change="Count with vtune.toolkit.adapter_size(network, lora, presets).parameters on a network without memory.",
    after=(footprint_is_plausible,),
)
def footprint_counts_what_is_trained(subject: Subject) -> None:
    """The estimate counts the parameters that the adapter really trains."""
    footprint = subject.engine.footprint(subject.engine_options, subject.info.lora, 4)
    if footprint is None:
        raise NotApplicable("the engine gives no footprint")
    trained = sum(parameter.numel() for parameter in subject.model().parameters() if parameter.requires_grad)
    require(
        abs(footprint.trainable - trained) <= 0.02 * trained,
        f"footprint gives {footprint.trainable:,} trainable parameters, but the adapter of build_lora_model has "
        f"{trained:,}.",
    )
