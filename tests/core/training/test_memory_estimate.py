from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vtune.errors import TrainingError
from vtune.recipe import Recipe
from vtune.runtime import memory
from vtune.runtime.memory import GIB, Limit
from vtune.training import memory_estimate
from vtune.training.memory_estimate import of_method, resolve_auto, training_bytes
from vtune.types import Footprint

BASE = Footprint(
    parameters=100,
    trainable=10,
    tensors=2,
    tokens_per_second=80,
    tokens_per_clip=20,
    weight_bytes=1000,
    token_bytes=40,
    token_bytes_checkpointed=10,
    token_flops=1,
    pass_bytes=500,
)


def recipe(**train: Any) -> Recipe:
    settings: dict[str, Any] = {"voice": "someone", "engine": "toy", "data": [{"source": "speech"}], "train": train}
    return Recipe.model_validate(settings)


def chosen(recipe: Recipe, have: float, footprint: Footprint | None = BASE) -> tuple[Any, int, Any]:
    train = resolve_auto(recipe, footprint, 10, have).train
    return train.batch_size, train.gradient_accumulation, train.gradient_checkpointing


def test_memory_is_weights_optimizer_pass_and_tokens() -> None:
    assert training_bytes(BASE, 7, checkpointing=False) == 1000 + 160 + 500 + 280
    assert training_bytes(BASE, 7, checkpointing=True) == 1000 + 160 + 500 + 70


def test_parts_beside_the_adapter_have_weights_gradients_and_moments() -> None:
    with_parts = replace(BASE, part_parameters=5)
    assert training_bytes(with_parts, 7, checkpointing=False) == 1000 + 160 + 500 + 280 + 5 * 16


def test_full_fine_tuning_holds_its_weights_once() -> None:
    """The expected bytes are those of the tensors that exist after a step of AdamW."""
    network = torch.nn.Linear(8, 16)
    optimizer = torch.optim.AdamW(network.parameters())
    network(torch.ones(1, 8)).sum().backward()
    optimizer.step()
    own = list(network.parameters())
    moments = [state[name] for state in optimizer.state.values() for name in ("exp_avg", "exp_avg_sq")]
    alive = sum(tensor.nbytes for tensor in [*own, *(p.grad for p in own if p.grad is not None), *moments])
    count = sum(p.numel() for p in own)
    shape = replace(BASE, parameters=count, weight_bytes=4 * count, pass_bytes=0)
    assert training_bytes(of_method(shape, "full"), 0, checkpointing=False) == alive


@pytest.mark.parametrize(("have", "with_it"), [(2300, False), (2200, True)])
def test_checkpointing_is_switched_on_where_it_does_not_fit_without(have: float, with_it: bool) -> None:
    """A clip of 10 tokens takes 2060 bytes without and 1760 with it; nine tenths of the memory may be filled."""
    assert chosen(recipe(), have) == (1, 1, with_it)


def test_what_the_recipe_says_is_done() -> None:
    assert chosen(recipe(gradient_checkpointing=False, batch_size=4), 1) == (4, 1, False)
    assert chosen(recipe(gradient_checkpointing=True, batch_size=4), 10**9) == (4, 1, True)


@pytest.mark.parametrize(
    ("have", "expected"),
    [
        (10**6, (12, 1, False)),
        ((1660 + 6 * 400) / 0.9 + 1, (6, 2, False)),
        ((1660 + 5 * 400) / 0.9 + 1, (4, 3, False)),
        ((1660 + 1 * 400) / 0.9 + 1, (1, 12, False)),
        ((1660 + 3 * 100) / 0.9 + 1, (3, 4, True)),
        (1, (1, 12, True)),
    ],
)
def test_a_batch_of_auto_is_the_largest_part_of_a_step_that_fits(have: float, expected: tuple[int, int, bool]) -> None:
    assert chosen(recipe(batch_size="auto", gradient_accumulation=12), have) == expected


@given(st.integers(1, 64), st.floats(1, 10**5))
def test_a_step_always_sees_as_many_clips_as_the_recipe_says(clips: int, have: float) -> None:
    batch, accumulated, _ = chosen(recipe(batch_size="auto", gradient_accumulation=clips), have)
    assert batch * accumulated == clips


def test_an_engine_without_an_estimate_is_left_as_it_was() -> None:
    auto = recipe(batch_size="auto", gradient_accumulation=4)
    assert chosen(auto, 10**9, footprint=None) == (1, 4, False)


def test_an_adapter_is_the_same_however_its_steps_are_cut(toy: Callable[..., Recipe], tmp_path: Any) -> None:
    import json

    from vtune import pipeline

    losses = {}
    for name, train in {
        "one": {"batch_size": 1, "gradient_accumulation": 4, "gradient_checkpointing": False},
        "auto": {"batch_size": "auto", "gradient_accumulation": 4},
    }.items():
        pipeline.run(toy(train=train, folders={"runs": str(tmp_path / name)}))
        (log,) = (tmp_path / name / "someone" / "logs").glob("*/metrics.jsonl")
        losses[name] = [json.loads(line)["loss"] for line in log.read_text().splitlines()]
    assert losses["auto"] == pytest.approx(losses["one"], abs=1e-5)


def test_limits_of_control_groups_are_those_of_the_process_and_of_what_is_around_it(tmp_path: Path) -> None:
    own = tmp_path / "cgroup"
    for group, size in (("v2/jobs", "4000"), ("v2/jobs/one", "max"), ("v1/memory/box", "3000")):
        version, _, _ = group.partition("/")
        (tmp_path / group).mkdir(parents=True)
        name = "memory.max" if version == "v2" else "memory.limit_in_bytes"
        (tmp_path / group / name).write_text(f"{size}\n")
    own.write_text("5:cpu:/else\n0::/jobs/one\n")
    assert [limit.size for limit in memory._control_groups(tmp_path / "v2", own)] == [4000]
    own.write_text("9:memory:/box\n1:name=systemd:/box\n")
    assert [limit.size for limit in memory._control_groups(tmp_path / "v1", own)] == [3000]
    # In a container the path is that of the host.
    own.write_text("0::/somewhere/else\n")
    (tmp_path / "v2" / "memory.max").write_text("2000\n")
    assert [limit.size for limit in memory._control_groups(tmp_path / "v2", own)] == [2000]
    assert list(memory._control_groups(tmp_path, tmp_path / "none")) == []


def test_the_least_limit_counts_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_control_groups", lambda: [Limit(2.0, "the control group")])
    monkeypatch.setattr(memory, "_address_space", lambda: [Limit(1.0, "ulimit -v")])
    assert memory.host_limit() == Limit(1.0, "ulimit -v")


def test_stages_of_a_cpu_are_all_on_the_host_and_those_of_a_gpu_are_apart() -> None:
    settled = recipe(batch_size=1, gradient_checkpointing=False)
    shape = replace(
        BASE, weight_bytes=int(10e9), largest_bytes=int(1e8), parameters=int(5e9), codec_bytes=1e8,
        listening_bytes=2e8, encoding_second_bytes=3e7,
    )  # fmt: skip
    on_cpu = {stage.name: stage for stage in memory_estimate.stages(shape, settled, 7, 1)}
    on_gpu = {stage.name: stage for stage in memory_estimate.stages(shape, settled, 7, 1, on_gpu=True)}
    assert list(on_cpu) == list(on_gpu)
    assert list(on_cpu) == [
        "encoding",
        "loading",
        "training",
        "resuming",
        "scoring checkpoints",
        "checking",
        "speaking",
        "merging",
    ]
    assert all(stage.device_bytes == 0 for stage in on_cpu.values())
    # Before a training, 0.36 of the program's 0.45 GiB are there.
    assert on_cpu["encoding"].host_bytes == pytest.approx(0.36 * GIB + 1e8 + 2e8 + 3e7)
    assert on_cpu["loading"].host_bytes == pytest.approx(0.45 * GIB + 1e8 + 10e9 + 4 * shape.trainable)
    assert on_cpu["training"].host_bytes > 10e9
    assert on_gpu["training"].device_bytes == training_bytes(shape, 7, False)
    assert max(stage.host_bytes for stage in on_gpu.values()) < 5e9  # nothing of a GPU's network is on the host


@pytest.mark.parametrize(("clips", "said"), [(0, "scoring checkpoints needs about"), (10**6, "training needs about")])
def test_what_does_not_fit_is_told_in_one_line_with_numbers_and_what_to_change(
    monkeypatch: pytest.MonkeyPatch, clips: int, said: str
) -> None:
    monkeypatch.setattr(memory_estimate, "host_limit", lambda: Limit(2 * GIB, "the control group"))
    shape = replace(BASE, weight_bytes=int(1.3 * GIB), speaking_bytes=GIB, token_bytes=10_000)
    cpu = torch.device("cpu")
    with pytest.raises(TrainingError) as caught:
        memory_estimate.require(shape, recipe(gradient_checkpointing=False), cpu, longest=clips)
    message = str(caught.value)
    assert said in message
    assert "there are 2.0 GiB of memory (the control group)" in message
    assert "train.gradient_checkpointing=true" in message
    assert "\n" not in message
    memory_estimate.require(replace(shape, speaking_bytes=0), recipe(), cpu, longest=1)
    memory_estimate.require(None, recipe(), cpu, longest=clips)


def test_processes_of_one_machine_share_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_estimate, "host_limit", lambda: Limit(3 * GIB, "the machine"))
    shape = replace(BASE, weight_bytes=GIB)
    memory_estimate.require(shape, recipe(), torch.device("cpu"))
    with pytest.raises(TrainingError, match="does not fit"):
        memory_estimate.require(shape, recipe(), torch.device("cpu"), processes=3)


def test_a_run_that_cannot_be_held_ends_before_anything_is_loaded(
    toy: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from vtune import pipeline
    from vtune.engines import Engine

    monkeypatch.setattr(Engine, "footprint", lambda *_: replace(BASE, weight_bytes=10**15))
    monkeypatch.setattr(Engine, "load_base", lambda *_: pytest.fail("the base was loaded"))
    with pytest.raises(TrainingError, match=r"does not fit into memory: .* needs about .* GiB, and there are .* GiB"):
        pipeline.run(toy())
    assert not (tmp_path / "runs").exists()


def test_processes_hold_pieces_of_a_divided_network_and_a_few_blocks_of_it_whole() -> None:
    shape = replace(BASE, parameters=1000, trainable=1000, weight_bytes=4000, pass_bytes=0, token_bytes=0)
    divided = recipe(batch_size=1, gradient_checkpointing=False, sharding="fsdp2", method="full")
    assert memory_estimate.piece_count(divided, 4) == 4
    assert memory_estimate.piece_count(recipe(), 4) == 1
    # Weights, gradients and two moments in float32; beside them, gathered weights and their gradients.
    assert training_bytes(shape, 1, False) == 16_000
    assert training_bytes(replace(shape, gathered_bytes=500), 1, False, pieces=4) == 4_000 + 2 * 500
    assert training_bytes(shape, 1, False, pieces=4) == 4_000 + 2 * 4_000, "an unknown size counts the whole network"
    by_name = {
        stage.name: stage.device_bytes
        for stage in memory_estimate.stages(
            replace(shape, gathered_bytes=500, speaking_bytes=70), divided, 1, 1, on_gpu=True, processes=4
        )
    }
    assert by_name["loading"] == 4_000 + 1_000, "the whole network, and the pieces that are made of it"
    assert by_name["scoring checkpoints"] == 4_000 + 4_000 + 70, "the pieces, and the whole network that speaks"
