"""Join the processes (ranks) of one run, check their number, wait for each other, and print each error once."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast

from vtune.errors import TrainingError, in_a_line
from vtune.runtime import signals
from vtune.runtime.device import pick_device
from vtune.runtime.distributed.heartbeats import Heartbeats
from vtune.runtime.distributed.rank_pool import ALONE, RankPool
from vtune.runtime.distributed.rank_store import LostRank

if TYPE_CHECKING:
    from accelerate import Accelerator, PartialState

T = TypeVar("T")

COLLECTIVE_TIMEOUT = timedelta(hours=3)
"""Longest wait inside torch, for a rank that lives but is busy, for example with hours of measuring a checkpoint."""

SILENCE_SECONDS = 120.0
"""Seconds without a heartbeat after which a rank is lost; ``VTUNE_RANK_TIMEOUT`` sets another number."""

LAUNCHER_VARIABLE = "VTUNE_LAUNCHER"
"""Environment variable of a rank that ``--launch`` started: descriptors of two pipes, from and to the launcher."""

FSDP_VARIABLE = "ACCELERATE_USE_FSDP"
"""Environment variable by which ``accelerate launch`` asks for FSDP; ``FSDP_VERSION`` says which one."""

UNSUPPORTED_VARIABLES = {"ACCELERATE_USE_DEEPSPEED": "DeepSpeed", "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM"}
"""Environment variables by which ``accelerate launch`` asks for a training loop of another library."""

_LOSS_SIGNS = (
    "connection closed by peer",
    "connection reset by peer",
    "broken pipe",
    "gloo",
    "nccl",
    "socket",
    "tcpstore",
)

# A pipe takes 4,096 bytes in one write, and an escaped character needs six bytes.
MAX_REPORT_CHARACTERS = 600

_report_pipe: int | None = None
_heartbeats: Heartbeats | None = None
_run_count = 0
_process_group: Any = None


@dataclass(frozen=True, slots=True)
class Ranks:
    """The processes of this run after all of them have joined."""

    state: PartialState
    pool: RankPool = ALONE


@contextmanager
def joined(device: str, world_size: int | None, sharding: str = "none") -> Iterator[Ranks]:
    """Join the other ranks for the time of this block, and end together with them; see ``init_distributed``.

    :param sharding: how the recipe divides the network, for ``require_launch_fits``.
    :raises LostRank: another rank is gone.
    """
    global _heartbeats, _run_count
    require_launch_fits(sharding)
    state = init_distributed(device, world_size)
    if state.num_processes == 1:
        yield Ranks(state)
        return
    _run_count += 1
    silence_seconds = float(os.environ.get("VTUNE_RANK_TIMEOUT") or SILENCE_SECONDS)
    beats = Heartbeats(state.process_index, state.num_processes, _run_count, silence_seconds, _report_lost_rank)
    _heartbeats = beats
    try:
        yield Ranks(state, RankPool(beats.store, state.process_index, state.num_processes))
    except signals.Stopped:
        beats.leave(failed=False, patience_seconds=silence_seconds)
        raise
    except BaseException as error:
        lost = isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _LOSS_SIGNS)
        stopped = beats.stop_signal() if lost else 0
        beats.leave(failed=not stopped, patience_seconds=1.0)
        if stopped:  # the other ranks have ended first
            raise signals.Stopped(stopped) from error
        if lost:
            raise LostRank(f"another rank is gone: {in_a_line(error)}") from error
        raise
    beats.leave(failed=False, patience_seconds=silence_seconds)


def lead(work: Callable[[RankPool], T]) -> T | None:
    """Run a verb in the main process of a launch, while the other ranks take their shares; alone without a launch.

    :returns: the result; None in the other ranks.
    :raises TrainingError: a launch of several processes has started one.
    """
    if not os.environ.keys() & {"WORLD_SIZE", "ACCELERATE_MIXED_PRECISION"}:  # neither torchrun nor accelerate
        return work(ALONE)
    # Only messages go between the ranks; a recogniser finds its GPU by itself. There is no network to divide, so a
    # launch for FSDP2 fits as well.
    with joined("cpu", None, "fsdp2") as ranks:
        return ranks.pool.lead(lambda: work(ranks.pool))


def require_launch_fits(sharding: str) -> None:
    """Check that the launch and the recipe agree about dividing the network, and take the launch's part in it away.

    The recipe decides. On a CPU, accelerate would replace FSDP and DeepSpeed by plain copies and say nothing.

    :param sharding: ``train.sharding`` of the recipe.
    :raises TrainingError: the launch asks for something else than the recipe.
    """
    for variable, name in UNSUPPORTED_VARIABLES.items():
        if _is_set(variable):
            raise TrainingError(
                f"the launch asks for {name}, which brings a training loop of its own; vtune divides a network with "
                "FSDP2: take recipes/accelerate/fsdp2.yaml, and train.sharding=fsdp2 in the recipe"
            )
    if not _is_set(FSDP_VARIABLE):
        return
    version = os.environ.get("FSDP_VERSION", "1")
    if version != "2":
        raise TrainingError(f"the launch asks for FSDP {version}; vtune divides with FSDP 2: set `fsdp_version: 2`")
    if _is_set("FSDP_OFFLOAD_PARAMS"):
        raise TrainingError(
            "the launch asks FSDP to keep weights on the host, which vtune does not do; "
            "set `fsdp_offload_params: false`"
        )
    if sharding == "none":
        raise TrainingError(
            "the launch asks for FSDP, and the recipe keeps the whole network in each process; set "
            "train.sharding=fsdp2, or take recipes/accelerate/one_machine.yaml"
        )
    del os.environ[FSDP_VARIABLE]  # accelerate would divide what vtune has divided


def _is_set(variable: str) -> bool:
    return os.environ.get(variable, "").lower() in {"true", "1", "yes"}


def init_distributed(device: str, world_size: int | None) -> PartialState:
    """Join the process group, if this process belongs to one, and check its size.

    Two wrong launch commands silently start one process, and two others start independent copies that overwrite each
    other's files; this check refuses all four.

    :param device: a name as ``vtune.runtime.device.pick_device`` takes it.
    :param world_size: number of processes that the recipe asks for.
    :raises TrainingError: the number of processes differs from ``world_size``.
    """
    from accelerate import PartialState

    launched = int(os.environ.get("WORLD_SIZE", "1"))
    if ":" in device and launched > 1:
        raise TrainingError(
            f"train.device is {device!r}, one GPU, and the launch has {launched} processes; write "
            f"train.device={device.partition(':')[0]}, which gives each process a GPU of its own"
        )
    use_cpu = pick_device(device).type == "cpu"
    backend = {"backend": "gloo"} if use_cpu and launched > 1 else {}
    state = PartialState(cpu=use_cpu, timeout=COLLECTIVE_TIMEOUT, **backend)
    expected = world_size or launched
    if state.num_processes != expected:
        raise TrainingError(
            f"{expected} processes were requested, but {state.num_processes} joined; "
            "launch with 'vtune run RECIPE --launch N' or 'accelerate launch --multi_gpu --num_processes N'"
        )
    if launched == 1 and "MASTER_PORT" in os.environ and "ACCELERATE_MIXED_PRECISION" in os.environ:
        raise TrainingError(
            "'accelerate launch' should start several processes, but it started one (it does so with --cpu); "
            "use 'vtune run RECIPE --launch N' or 'accelerate launch --multi_gpu --num_processes N'"
        )
    return state


def is_main_process() -> bool:
    """Tell whether this process is rank 0, which logs and writes for all ranks."""
    return int(os.environ.get("RANK", "0")) == 0


def max_over_ranks(value: int) -> int:
    """Return the largest value that any rank gives; every rank must call this. It sends one number, on the CPU."""
    import torch
    from torch import distributed

    if not distributed.is_initialized():
        return value
    largest = torch.tensor([value])
    distributed.all_reduce(largest, distributed.ReduceOp.MAX, group=_cpu_group())
    return int(largest.item())


def from_main_process(processes: PartialState | Accelerator, decide: Callable[[], T]) -> T:
    """Return in every process what the main process decides; every process must call this.

    :param decide: is called in the main process only; its result must be picklable.
    """
    from accelerate.utils import broadcast_object_list

    decisions = [decide() if processes.is_main_process else None]
    if processes.num_processes > 1:
        broadcast_object_list(decisions)
    return cast(T, decisions[0])


def follow_launcher() -> None:
    """Stop when the launcher of this rank says so, and end when it is gone; only in ranks of ``--launch``."""
    global _report_pipe
    pipes = os.environ.pop(LAUNCHER_VARIABLE, None)
    if pipes is None:
        return
    control, _report_pipe = map(int, pipes.split(","))
    for pipe in (control, _report_pipe):
        os.set_inheritable(pipe, False)  # worker processes do not belong to the launcher
    threading.Thread(target=_follow, args=(control,), name="launcher", daemon=True).start()


def lines_to_print(lines: Sequence[str], error: Exception) -> Sequence[str]:
    """Return the lines of an error that this process must print: none if its launcher or another rank prints them."""
    text = "\n".join(lines)
    if _report(text, lost=isinstance(error, LostRank)):
        return []
    if _heartbeats is None:
        return lines if is_main_process() else []
    if not _heartbeats.is_first_report(text):
        return []
    return lines if is_main_process() else [f"{line} (rank {os.environ['RANK']})" for line in lines]


def _report_lost_rank(text: str) -> None:
    if not _report(text, lost=False):
        print(f"Error: {text}", file=sys.stderr, flush=True)


def _report(text: str, *, lost: bool) -> bool:
    """Report an error to the launcher of this rank, which prints it once; return False if there is no launcher."""
    if _report_pipe is None:
        return False
    report = {"rank": int(os.environ["RANK"]), "error": text[:MAX_REPORT_CHARACTERS], "lost": lost}
    with suppress(OSError):
        os.write(_report_pipe, json.dumps(report).encode() + b"\n")
    return True


def _follow(control: int) -> None:
    while data := os.read(control, 1):
        signals.pass_on(data[0])
    os._exit(1)  # the launcher was killed


def _cpu_group() -> Any:
    """Return the process group of all ranks that communicates on the CPU."""
    global _process_group
    from torch import distributed

    if _process_group is None and distributed.get_backend() != "gloo":
        _process_group = distributed.new_group(backend="gloo", timeout=COLLECTIVE_TIMEOUT)
    return _process_group
