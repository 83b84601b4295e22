"""The configurations of accelerate that are shipped, and those that vtune refuses, read by accelerate's own parser."""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env

from vtune.errors import TrainingError
from vtune.runtime.distributed.ranks import FSDP_VARIABLE, UNSUPPORTED_VARIABLES, require_launch_fits

SHIPPED = Path(__file__).resolve().parents[4] / "recipes" / "accelerate"

# As `accelerate config` writes them.
FSDP2 = """
compute_environment: LOCAL_MACHINE
distributed_type: FSDP
fsdp_config:
  fsdp_version: 2
  fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP
  fsdp_transformer_layer_cls_to_wrap: LlamaDecoderLayer
  fsdp_reshard_after_forward: true
  fsdp_state_dict_type: FULL_STATE_DICT
mixed_precision: "no"
num_machines: 1
num_processes: 2
"""
DEEPSPEED = """
compute_environment: LOCAL_MACHINE
distributed_type: DEEPSPEED
deepspeed_config: {zero_stage: 2, offload_optimizer_device: none, offload_param_device: none, zero3_init_flag: false}
mixed_precision: "no"
num_machines: 1
num_processes: 2
"""


def parsed(path: Path) -> Namespace:
    """Return the settings of `accelerate launch --config_file`. :raises ValueError: accelerate does not know a key."""
    load_config_from_file(str(path))
    command = ["--config_file", str(path), "--dynamo_backend", "no", "-m", "vtune_cli", "run", "recipe.yaml"]
    settings, _, _ = _validate_launch_command(launch_command_parser().parse_args(command))
    assert isinstance(settings, Namespace)
    return settings


@pytest.mark.parametrize(("name", "machines", "processes"), [("one_machine", 1, 2), ("two_machines", 2, 8)])
def test_a_shipped_configuration_starts_ranks_with_whole_networks(name: str, machines: int, processes: int) -> None:
    settings = parsed(SHIPPED / f"{name}.yaml")
    environment = prepare_multi_gpu_env(settings)
    assert (settings.multi_gpu, settings.num_machines, settings.num_processes) == (True, machines, processes)
    assert environment["ACCELERATE_MIXED_PRECISION"] == "no"
    assert not environment.keys() & {FSDP_VARIABLE, *UNSUPPORTED_VARIABLES}


def test_an_unknown_key_of_a_configuration_would_be_noticed(tmp_path: Path) -> None:
    text = (SHIPPED / "one_machine.yaml").read_text(encoding="utf-8")
    (tmp_path / "wrong.yaml").write_text(f"{text}num_procceses: 2\n", encoding="utf-8")
    with pytest.raises(ValueError, match="num_procceses"):
        parsed(tmp_path / "wrong.yaml")


def ask_as(launch: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set what `accelerate launch` with a configuration sets in each rank to ask for a divided network."""
    (folder / "divided.yaml").write_text(launch, encoding="utf-8")
    settings = parsed(folder / "divided.yaml")
    if settings.use_deepspeed:
        settings.deepspeed_fields_from_accelerate_config = ""  # accelerate sets it just before it starts the ranks
        _, environment = prepare_deepspeed_cmd_env(settings)
    else:
        environment = prepare_multi_gpu_env(settings)
    for variable in (FSDP_VARIABLE, "FSDP_VERSION", "FSDP_OFFLOAD_PARAMS", *UNSUPPORTED_VARIABLES):
        monkeypatch.delenv(variable, raising=False)
        if variable in environment:
            monkeypatch.setenv(variable, environment[variable])


@pytest.mark.parametrize(
    ("launch", "sharding", "says"),
    [
        (DEEPSPEED, "fsdp2", "asks for DeepSpeed, .* recipes/accelerate/fsdp2.yaml, and train.sharding=fsdp2"),
        (FSDP2, "none", "asks for FSDP, and the recipe keeps the whole network .* set train.sharding=fsdp2"),
        (FSDP2.replace("version: 2", "version: 1"), "fsdp2", "asks for FSDP 1; .* `fsdp_version: 2`"),
        (
            FSDP2.replace("version: 2", "version: 2\n  fsdp_offload_params: true"),
            "fsdp2",
            "`fsdp_offload_params: false",
        ),
    ],
)
def test_a_launch_that_does_not_fit_the_recipe_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, launch: str, sharding: str, says: str
) -> None:
    ask_as(launch, tmp_path, monkeypatch)
    with pytest.raises(TrainingError, match=says):
        require_launch_fits(sharding)


def test_accelerate_does_not_divide_what_vtune_divides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for launch in (FSDP2, (SHIPPED / "fsdp2.yaml").read_text(encoding="utf-8")):
        ask_as(launch, tmp_path, monkeypatch)
        assert os.environ[FSDP_VARIABLE] == "true"
        require_launch_fits("fsdp2")
        assert FSDP_VARIABLE not in os.environ
