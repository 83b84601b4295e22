"""Divide a network over the processes with FSDP2 while it is trained, and make it whole where it speaks or is saved.

FSDP2 changes modules for good. So the network that is trained is a copy of the engine's modules, and the engine's own
modules stay as they are: their tensors are empty while the training runs, and are filled where a whole network is
needed. What saves, checks and speaks is then the same code as for a network that was never divided.
"""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from vtune.errors import TrainingError, in_a_line
from vtune.training.divided_tensors import divided_like, gathered_state, is_divided, whole

logger = logging.getLogger(__name__)

SHARDED_OPTIMIZERS = ("adamw_torch", "adamw_torch_fused", "sgd")
"""Optimizers whose step on a piece of a tensor is the step on the tensor: each number by itself."""


class ShardedNetwork:
    """A network whose tensors are divided over the processes.

    :param network: the engine's network, whole in each process; its tensors are emptied.
    :param processes: number of processes.
    :raises TrainingError: FSDP2 cannot divide one of its tensors.
    """

    def __init__(self, network: nn.Module, processes: int) -> None:
        self._whole = network
        tensors = [*network.parameters(), *network.buffers()]
        self.divided: nn.Module = copy.deepcopy(network, {id(tensor): tensor for tensor in tensors})
        device = next(network.parameters()).device
        mesh = init_device_mesh(device.type, (processes,))
        self.divided.register_forward_hook(_own_loss)  # before FSDP2 puts its hooks on what the network returns
        warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
        try:
            for module in (*repeated_blocks(self.divided), self.divided):
                # FSDP2 would keep what lies outside of the blocks gathered after a validation, and the next step would
                # compute with it, although averaged weights have been exchanged for the others in the meantime.
                fully_shard(module, mesh=mesh, reshard_after_forward=True)
        except (ValueError, NotImplementedError, AssertionError) as error:
            raise TrainingError(f"train.sharding: FSDP2 cannot divide this network: {in_a_line(error)}") from error
        self._release()
        blocks = sum(1 for _ in repeated_blocks(self.divided))
        logger.info("FSDP2 divides the network over %d processes, by %d repeated blocks", processes, blocks)

    @contextmanager
    def as_whole(self, *, here: bool = True) -> Iterator[nn.Module]:
        """Let the engine's network have its weights for a while; every process must enter.

        :param here: False in a process that only takes part in gathering, and does not use the network.
        """
        self.gather(here=here)
        try:
            yield self._whole
        finally:
            self._release()

    @torch.no_grad()
    def gather(self, *, here: bool = True) -> None:
        """Give the engine's network its weights, tensor by tensor; every process must call this.

        :param here: False in a process that does not need them.
        """
        for parameter, pieces in self._pairs():
            value = whole(pieces.detach())
            if here:
                parameter.data = value

    @torch.no_grad()
    def take(self) -> None:
        """Take the weights that the engine's network has now; they are the same in every process."""
        for parameter, pieces in self._pairs():
            pieces.copy_(divided_like(parameter.detach(), pieces))

    def _release(self) -> None:
        for parameter in self._whole.parameters():
            parameter.data = parameter.data.new_empty(0)

    def _pairs(self) -> Iterator[tuple[nn.Parameter, nn.Parameter]]:
        return zip(self._whole.parameters(), self.divided.parameters(), strict=True)


def _own_loss(_: nn.Module, __: Any, output: Any) -> None:
    """Copy the loss, which transformers scales in place: of a view, FSDP2 would lose sight without an error."""
    if isinstance(output, MutableMapping) and isinstance(output.get("loss"), torch.Tensor):
        output["loss"] = output["loss"].clone()


def repeated_blocks(network: nn.Module) -> Iterator[nn.Module]:
    """Yield the elements of the outermost lists of modules, such as the layers of a transformer.

    Each is gathered by itself while it computes, so no process holds more than a block or two beside its pieces.
    """
    for child in network.children():
        if isinstance(child, nn.ModuleList):
            yield from (block for block in child if any(True for _ in block.parameters()))
        else:
            yield from repeated_blocks(child)


def require_shardable(*, precision: str, optimizer: str, quantised: bool, beside: str | None) -> None:
    """Refuse what cannot be trained with a divided network.

    :param beside: hooks of the engine that train more than the network with one loss, for the error; None without.
    :raises TrainingError: says in one line what does not go together.
    """
    whole_instead = "or leave train.sharding at none, which keeps the whole network in each process"
    if beside is not None:
        raise TrainingError(
            f"train.sharding: fsdp2 divides a network with one loss and one optimizer, and this engine has {beside}; "
            "leave train.sharding at none"
        )
    if quantised:
        raise TrainingError(
            f"train.sharding: a quantised base cannot be divided; take quantization none, {whole_instead}"
        )
    if precision == "fp16":
        raise TrainingError(
            "train.sharding: the processes would scale their losses differently under fp16; take train.precision bf16 "
            f"or fp32, {whole_instead}"
        )
    if optimizer not in SHARDED_OPTIMIZERS:
        raise TrainingError(
            f"train.sharding: {optimizer} cannot step a divided tensor; take train.optimizer "
            f"{' or '.join(SHARDED_OPTIMIZERS)}, {whole_instead}"
        )


def keep_state_whole(optimizer: Any, *, main: bool) -> None:
    """Let an optimizer of divided tensors give and take a state of whole tensors, as one without division has.

    Every process must call ``state_dict``; the state is whole in the main process and empty in the others.

    :param main: whether this is the main process.
    """

    def gather(_: Any, state: dict[str, Any]) -> dict[str, Any]:
        return gathered_state(state, keep=main) if is_divided(_state_tensors(state)) else state

    def divide(optimizer: Any, state: dict[str, Any]) -> dict[str, Any]:
        parameters = [tensor for group in optimizer.param_groups for tensor in group["params"]]
        numbers = [number for group in state["param_groups"] for number in group["params"]]
        by_number = dict(zip(numbers, parameters, strict=True))
        divided = {
            number: {name: _as_state(value, by_number[number]) for name, value in kept.items()}
            for number, kept in state["state"].items()
        }
        return {**state, "state": divided}

    optimizer.register_state_dict_post_hook(gather)
    optimizer.register_load_state_dict_pre_hook(divide)


def _as_state(value: Any, parameter: torch.Tensor) -> Any:
    of_tensor = isinstance(value, torch.Tensor) and value.shape == parameter.shape and value.dim() > 0
    return divided_like(value, parameter) if of_tensor and not is_divided([value]) else value


def _state_tensors(state: dict[str, Any]) -> list[torch.Tensor]:
    return [value for kept in state["state"].values() for value in kept.values() if isinstance(value, torch.Tensor)]
