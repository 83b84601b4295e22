from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from vtune.errors import DataError
from vtune.plan import make_plan
from vtune.recipe import Recipe
from vtune_cli.main import main
from vtune_orpheus import tiny_checkpoint


def test_a_plan_counts_what_a_run_then_does(toy: Callable[..., Recipe], tmp_path: Path) -> None:
    from vtune import pipeline
    from vtune.voice_format.record import read_record

    recipe = toy(train={"epochs": 3, "validation": 0.3})
    plan = make_plan(recipe)
    assert not (tmp_path / "runs").exists()
    (folder,) = pipeline.run(recipe)
    record = read_record(folder)
    assert plan.steps == record.training["steps"]
    assert plan.totals.settings() == record.ledger
    assert "engine 'toy' gives none" in plan.lines()[-1]


@pytest.fixture
def orpheus(toy: Callable[..., Recipe], tmp_path: Path) -> Callable[..., Recipe]:
    folder = tmp_path / "tiny"
    folder.mkdir()
    tiny_checkpoint.build(folder, hidden=32, layers=2)
    shape = json.loads((folder / "config.json").read_text())

    def load(**train: object) -> Recipe:
        assert shape["hidden_size"] == 32
        return toy(engine="orpheus", engine_options={"base_model": str(folder)}, train=train)

    return load


def test_a_plan_of_orpheus_has_tokens_parameters_memory_and_time(orpheus: Callable[..., Recipe]) -> None:
    printed = "\n".join(make_plan(orpheus()).lines())
    for fact in ("tokens", "parameters", "trainable", "memory", "GiB", "time"):
        assert fact in printed


def test_more_in_a_batch_needs_more_memory_and_checkpointing_less(orpheus: Callable[..., Recipe]) -> None:
    single, eight = make_plan(orpheus(batch_size=1)), make_plan(orpheus(batch_size=8))
    saving = make_plan(orpheus(batch_size=8, gradient_checkpointing=True))
    assert single.memory_bytes is not None
    assert eight.memory_bytes is not None
    assert saving.memory_bytes is not None
    assert single.memory_bytes < saving.memory_bytes < eight.memory_bytes


@pytest.mark.parametrize(
    ("bf16_flops", "faster_than_float32"),
    [(9e11, 2.0), (1.2e11, 1.2), (3e10, 0.3)],  # a processor with units for bf16, one with few, one without
)
def test_a_product_in_bf16_does_not_tell_how_fast_a_training_is_on_a_processor(
    orpheus: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch, bf16_flops: float, faster_than_float32: float
) -> None:
    """A plan promised 5 s for a training in bf16 that took 66 s: hardly anything but the products became faster."""
    rates = {torch.float32: 1e11, torch.bfloat16: bf16_flops}
    monkeypatch.setattr("vtune.plan._product_flops", lambda device, dtype: rates[dtype])
    plans = [make_plan(orpheus(precision=precision, device="cpu")) for precision in ("fp32", "bf16")]
    assert plans[0].seconds / plans[1].seconds == pytest.approx(faster_than_float32)  # type: ignore[operator]


def test_a_divided_network_is_planned_for_the_processes_of_the_recipe(orpheus: Callable[..., Recipe]) -> None:
    undivided = make_plan(orpheus(method="full", world_size=4))
    divided = make_plan(orpheus(method="full", world_size=4, sharding="fsdp2"))
    assert undivided.memory_bytes is not None
    assert divided.memory_bytes is not None
    assert undivided.footprint is not None
    gathered = 2 * undivided.footprint.gathered_bytes
    numbers = 16 * undivided.footprint.parameters
    assert divided.memory_bytes - undivided.memory_bytes == pytest.approx(numbers / 4 + gathered - numbers)
    assert any("divided over 4 processes" in line for line in divided.lines())
    assert any("train.world_size does not say" in line for line in make_plan(orpheus(sharding="fsdp2")).lines())


def test_an_average_and_parts_are_counted(orpheus: Callable[..., Recipe]) -> None:
    plain, averaged = make_plan(orpheus()), make_plan(orpheus(ema=0.99))
    assert plain.memory_bytes is not None
    assert averaged.memory_bytes is not None
    assert plain.footprint is not None
    assert averaged.memory_bytes - plain.memory_bytes == 4 * plain.footprint.trainable
    counted = replace(plain, footprint=replace(plain.footprint, part_parameters=1234))
    assert any("; 1,234 in parts beside the adapter" in line for line in counted.lines())
    assert any(line.endswith("beside the adapter: not counted") for line in replace(plain, counts_parts=False).lines())
    assert "beside the adapter" not in "\n".join(plain.lines())


def test_a_plan_loads_no_weights(orpheus: Callable[..., Recipe], tmp_path: Path) -> None:
    recipe = orpheus()
    weights = Path(recipe.engine_options.base_model) / "model.safetensors"
    weights.unlink()
    assert make_plan(recipe).footprint


def test_the_command_says_it(toy_recipe: Callable[..., Path]) -> None:
    result = CliRunner().invoke(main, ["plan", str(toy_recipe())])
    assert result.exit_code == 0, result.output
    first, second, *_ = result.stdout.splitlines()
    assert first.startswith(
        "words       data.0: transcripts.csv: CSV; 'filename' names the recording, 'text' has the words"
    )
    assert second.startswith("clips       8 clips: 8 train")


def test_voices_and_sources_are_named_by_their_place_in_the_recipe(
    toy: Callable[..., Recipe], speech: Callable[..., Path], tmp_path: Path
) -> None:
    folder = speech("talk")
    rows = [line.split(",") for line in (folder / "transcripts.csv").read_text().splitlines()[1:]]
    cells = [f"{name}|{'nora' if n < 5 else 'ben'}|{text}" for n, (name, text) in enumerate(rows)]
    (folder / "transcripts.csv").write_text("\n".join(cells) + "\n")
    shutil.copytree(folder / "clips", tmp_path / "raw")
    lines = make_plan(toy(data=[{"source": str(tmp_path / "raw")}, {"source": str(folder)}])).lines()
    assert lines[0].startswith("raw         data.0: 8 recordings")
    assert lines[1].startswith("words       data.1: transcripts.csv: table with '|'; no header: cell 1 names")
    assert "voices      nora 5 clips, ben 3 clips" in lines


@pytest.mark.parametrize("given", [{"prepare": {"min_seconds": 60}}, {"train": {"validation": 0.999999}}])
def test_a_source_without_a_usable_clip_is_an_error_with_its_reasons(
    orpheus: Callable[..., Recipe], toy: Callable[..., Recipe], given: dict[str, dict[str, float]]
) -> None:
    for recipe in (toy(**given), orpheus().model_copy(update={name: getattr(toy(**given), name) for name in given})):
        with pytest.raises(DataError, match=r"no clip can be trained on: .*(shorter than|lower train.validation)"):
            make_plan(recipe)


def test_recordings_without_sound_are_an_error(toy: Callable[..., Recipe], tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/broken.wav").write_bytes(b"RIFF")
    with pytest.raises(DataError, match="1 recordings have no readable sound"):
        make_plan(toy(data=[{"source": str(tmp_path / "raw")}]))
