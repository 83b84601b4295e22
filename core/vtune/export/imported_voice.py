"""Make a voice folder of a voice that other software trained: read it, let it speak, check it, write it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from vtune.contract.imports import ImportedVoice, VoiceToImport
from vtune.engines import Engine, load_users_engine
from vtune.errors import VoiceError, first_problem, listed, shown
from vtune.evaluation import Scores
from vtune.export.card import write_card
from vtune.export.new_voice import new_voice_folder, require_free
from vtune.export.source import encoded_prompts
from vtune.export.voice_files import licence_entries, write_licence_note, write_samples
from vtune.recipe import EvaluateRecipe, LoraRecipe, Recipe, SourceRecipe, as_yaml
from vtune.runtime.device import pick_device, weights_dtype
from vtune.runtime.paths import VoiceFolder, new_folder, write_json, write_text
from vtune.runtime.progress import logged_step
from vtune.runtime.version import VTUNE_VERSION
from vtune.toolkit import hash_file
from vtune.types import LoraSettings
from vtune.voice_format.record import ImportRecord, VoiceRecord
from vtune.voice_format.vllm_rules import is_servable
from vtune.voice_format.weights import fill_adapter, fill_network, require_sane_values
from vtune.voices.extension_options import extension_records
from vtune.voices.memory import require_memory_to_export
from vtune.voices.speech import LoadedVoice
from vtune.voices.voice_options import options_of

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What a user asks ``vtune import`` for.

    :param name: of the voice; None for the name that the files suggest.
    :param consent: ``person`` and ``statement``, if the user states them.
    :param options: engine options, such as where the base lies.
    """

    source: VoiceToImport
    engine: str
    voices: Path
    name: str | None = None
    consent: Mapping[str, str] | None = None
    device: str = "auto"
    options: Mapping[str, Any] = field(default_factory=dict)


def import_voice(request: ImportRequest) -> VoiceRecord:
    """Write the voice ``voices/name``, whole or not at all, after it has spoken and passed the checks of a training.

    :returns: what ``voice.json`` says.
    :raises EngineError: the engine imports no voices.
    :raises VoiceError: the files are not understood, do not fit the base, or change nothing; or the name is taken.
    """
    _require_files(request.source)
    if request.name is not None:
        new_voice_folder(request.name, request.voices)
    engine = load_users_engine(request.engine)
    engine.require_import()
    record = _first_record(engine, request)
    require_memory_to_export(record, request.device, action="importing")
    with logged_step(f"Importing {request.source.path}: loading the base and reading the files"):
        device = pick_device(request.device)
        base = engine.load_base(options_of(engine, record, {}), device, weights_dtype("fp32", device, "lora"))
        imported = engine.import_voice(base, request.source)
    record = _completed(_with_base(record, engine, base), imported, request)
    folder = new_voice_folder(record.name, request.voices)
    model = _filled_model(engine, base, imported, request.source.path)
    voice = LoadedVoice(engine, base, model.eval(), imported.conditioning, record)
    with new_folder(folder.path, keep=lambda: require_free(folder)) as aside:
        return _write(voice, VoiceFolder(aside), request.source.path)


def _require_files(source: VoiceToImport) -> None:
    for path in (source.path, source.embeddings, source.reference):
        if path is not None and not path.exists():
            raise VoiceError(f"there is no file or folder {shown(str(path))}")


def _first_record(engine: Engine, request: ImportRequest) -> VoiceRecord:
    """Return what is known before the files are read: the engine, its options, whose voice it is."""
    record = VoiceRecord(
        name=request.name or request.source.path.name,
        engine=engine.name,
        engine_origin=engine.origin,
        engine_options=engine.info.options().model_dump(mode="json"),
        extensions=extension_records(engine),
        method="lora",
        sample_rate=engine.info.sample_rate,
        fingerprint={},
        lora=_as_recipe(engine.info.lora),
        training={},
        ledger={},
        consent=dict(request.consent) if request.consent else None,
        licence="",  # that of the base, which is not loaded yet
        vtune=VTUNE_VERSION,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    options = options_of(engine, record, request.options)
    return record.model_copy(update={"engine_options": options.model_dump(mode="json")})


def _with_base(record: VoiceRecord, engine: Engine, base: Any) -> VoiceRecord:
    """Return a record with the fingerprint and the licence of the base."""
    entries = licence_entries(engine.licence(base))
    return record.model_copy(update={"fingerprint": engine.fingerprint(base), **entries})


def _completed(record: VoiceRecord, imported: ImportedVoice, request: ImportRequest) -> VoiceRecord:
    """Return the record with what the files say. :raises VoiceError: they belong to another base."""
    stated = imported.fingerprint or {}
    differ = [part for part, digest in stated.items() if record.fingerprint.get(part) != digest]
    if differ:
        raise VoiceError(
            f"{request.source.path} belongs to another base: {listed(differ)} of this base differ from what it was "
            "made with; name its base with --set base_model=FOLDER"
        )
    origin = ImportRecord(
        layout=imported.layout,
        files={path.name: hash_file(path) for path in imported.files},
        notes=list(imported.notes),
    )
    changes = {
        "name": request.name or imported.name,
        "method": imported.method,
        "imported": origin,
        **({} if imported.lora is None else {"lora": _as_recipe(imported.lora)}),
    }
    return record.model_copy(update=changes)


def _as_recipe(lora: LoraSettings) -> dict[str, Any]:
    """Return the shape of an adapter as ``voice.json`` has it. :raises VoiceError: no recipe can describe it."""
    values = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(lora).items()}
    try:
        return LoraRecipe.model_validate(values).model_dump(mode="json")
    except ValidationError as error:
        raise VoiceError(f"vtune has no such adapter: lora.{first_problem(error)}") from error


def _filled_model(engine: Engine, base: Any, imported: ImportedVoice, origin: Path) -> nn.Module:
    require_sane_values(imported.weights, origin)
    model: Any = engine.build_model(base, imported.lora or engine.info.lora, imported.method)
    fill: Any = fill_network if imported.lora is None else fill_adapter
    fill(model, imported.weights, origin)
    network: nn.Module = model
    return network


def _write(voice: LoadedVoice, folder: VoiceFolder, origin: Path) -> VoiceRecord:
    """Write the files of a voice, with samples; check the adapter with them as after a training."""
    engine = voice.engine
    with logged_step(f"Importing {origin}: the voice speaks, and its answers are compared with those of its base"):
        engine.export_voice(voice.base, voice.model, voice.conditioning, folder.path)
        write_samples(voice, voice.record, EvaluateRecipe(), folder.samples, advance=lambda: None)
        _check(voice, folder)
    record = voice.record.model_copy(update={"servable": is_servable(folder)})
    recipe = _recipe_to_go_on_with(record, engine)
    write_licence_note(engine.licence(voice.base), folder.path)
    write_text(folder.recipe, as_yaml(recipe))
    write_json(folder.record, record.model_dump())
    write_card(folder.card, record, recipe.settings(), Scores())
    return record


def _check(voice: LoadedVoice, folder: VoiceFolder) -> None:
    """Run the checks that end a training. :raises TrainingError: the adapter changes nothing, or was not saved."""
    from vtune.training import guards

    engine = voice.engine
    _, features = encoded_prompts(voice, folder, {}, {})
    device = next(voice.model.parameters()).device
    batch = {name: tensor.to(device) for name, tensor in engine.collate(voice.base, features[:1]).items()}
    answers = guards.probe_logits(voice.model, batch)
    guards.check_adapter_speaks(voice.model, batch, answers)
    guards.check_reloads(voice.model, folder.path, batch, answers)
    if "merging" in engine.info.supports:
        guards.check_merge(voice.model, batch, answers)


def _recipe_to_go_on_with(record: VoiceRecord, engine: Engine) -> Recipe:
    """Return a recipe that names a folder for recordings, because those of the training are not known."""
    return Recipe(
        voice=record.name,
        engine=record.engine,
        engine_options=options_of(engine, record, {}),
        data=[SourceRecipe(source=f"recordings/{record.name}")],
        lora=LoraRecipe.model_validate(record.lora),
    )
