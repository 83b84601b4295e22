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
from vtune.runtime.distributed.ranks import SHARDING_VARIABLES, init_distributed

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
    assert not environment.keys() & SHARDING_VARIABLES.keys()


def test_an_unknown_key_of_a_configuration_would_be_noticed(tmp_path: Path) -> None:
    text = (SHIPPED / "one_machine.yaml").read_text(encoding="utf-8")
    (tmp_path / "wrong.yaml").write_text(f"{text}num_procceses: 2\n", encoding="utf-8")
    with pytest.raises(ValueError, match="num_procceses"):
        parsed(tmp_path / "wrong.yaml")


@pytest.mark.parametrize(("name", "text"), [("FSDP", FSDP2), ("DeepSpeed", DEEPSPEED)])
def test_a_launch_that_divides_the_network_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    (tmp_path / "divided.yaml").write_text(text, encoding="utf-8")
    settings = parsed(tmp_path / "divided.yaml")
    if name == "FSDP":
        environment = prepare_multi_gpu_env(settings)
    else:
        settings.deepspeed_fields_from_accelerate_config = ""  # accelerate sets it just before it starts the ranks
        _, environment = prepare_deepspeed_cmd_env(settings)
    for variable in SHARDING_VARIABLES.keys() & environment.keys():
        monkeypatch.setitem(os.environ, variable, environment[variable])
    with pytest.raises(TrainingError, match=f"the launch asks for {name}, .* `distributed_type: MULTI_GPU`"):
        init_distributed("cpu", None)
