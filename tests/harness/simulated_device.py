"""A device that computes on the CPU but behaves as a GPU: tensors of both cannot be mixed, and NumPy cannot read them.

torch has no such device. A tensor of the simulated device wraps a tensor of the CPU; each operation is checked by the
rules that CUDA has, and then computed with the wrapped tensors. So code for a GPU can be run where there is none: it
finds tensors that were made on the wrong device, generators of the wrong device, and results that were not brought back
before NumPy reads them. It does not find what depends on CUDA's kernels, and autocast does nothing on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

_aten = torch.ops.aten
_ACROSS_DEVICES = {_aten.copy_, _aten._to_copy, _aten.index, _aten.index_put, _aten.index_put_, _aten._index_put_impl_}
"""Operations that CUDA lets have tensors of both devices; of those that index, the indices may be on the CPU."""

_WAITING = {_aten._local_scalar_dense, _aten.nonzero, _aten.masked_select, _aten.equal}
"""Operations that let the CPU wait until the GPU has computed everything before them."""


class SimulatedTensor(torch.Tensor):
    """A tensor of the simulated device."""

    wrapped: torch.Tensor

    @staticmethod
    def __new__(cls, wrapped: torch.Tensor) -> SimulatedTensor:
        tensor: SimulatedTensor = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, wrapped.shape, strides=wrapped.stride(), storage_offset=wrapped.storage_offset(),
            dtype=wrapped.dtype, device=_device(),
        )  # fmt: skip
        tensor.wrapped = wrapped
        return tensor

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {}, None)

    def tolist(self) -> Any:
        """Bring the numbers back."""
        return self.cpu().tolist()

    @property
    def data(self) -> torch.Tensor:  # type: ignore[override]
        """The tensor without its gradient."""
        return self.detach()

    @data.setter
    def data(self, other: Any) -> None:
        torch.Tensor.data.__set__(self, other)  # type: ignore[attr-defined]
        self.wrapped = other.wrapped


class _Simulation(TorchDispatchMode):
    def __init__(self, waits: Counter[str]) -> None:
        super().__init__()
        self._waits = waits

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {}, self._waits)


@contextmanager
def simulated_device() -> Iterator[tuple[torch.device, Counter[str]]]:
    """Yield the device, and a counter of operations that let the CPU wait for it, by name."""
    waits: Counter[str] = Counter()
    before = torch._C._only_lift_cpu_tensors()
    torch._C._set_only_lift_cpu_tensors(True)  # or torch.tensor would go to the device without being seen
    try:
        with _Simulation(waits):
            yield _device(), waits
    finally:
        torch._C._set_only_lift_cpu_tensors(before)


def _run(func: Any, args: Any, kwargs: dict[str, Any], waits: Counter[str] | None) -> Any:
    if torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"):
        return func.decompose(*args, **kwargs)  # one made of others, which inference mode does not take apart
    given = [value for value in tree_iter((args, kwargs)) if isinstance(value, torch.Tensor)]
    target = kwargs.get("device")
    is_simulated = any(isinstance(tensor, SimulatedTensor) for tensor in given)
    if is_simulated:
        _check_devices(func, args, given)
    if target is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    result_is_simulated = is_simulated if target is None else torch.device(target).type == _device().type
    _check_generator(kwargs, result_is_simulated)
    if waits is not None and is_simulated and (func.overloadpacket in _WAITING or _leaves(target, func, args)):
        waits[str(func.overloadpacket)] += 1
    kwargs.pop("pin_memory", None)
    unwrapped = tree_map(_unwrap, (args, kwargs))
    output = func(*unwrapped[0], **unwrapped[1])
    if torch.Tag.inplace_view in func.tags and isinstance(args[0], SimulatedTensor):
        with no_dispatch():  # the shape of the tensor itself has changed too
            torch.Tensor.as_strided_(args[0], output.shape, output.stride(), output.storage_offset())
        return args[0]
    if not result_is_simulated:
        return output
    known = {id(tensor.wrapped): tensor for tensor in given if isinstance(tensor, SimulatedTensor)}

    def wrap(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        if id(value) in known:
            return known[id(value)]
        # A conjugate is a view with a bit, of which the wrapping tensor would know nothing: backward passes read it.
        value = value.resolve_conj().resolve_neg()
        with torch.inference_mode(False):  # what is part of a tensor with a version must have one too
            return SimulatedTensor(value)

    return tree_map(wrap, output)


def _leaves(target: Any, func: Any, args: Any) -> bool:
    if func.overloadpacket is _aten._to_copy:
        return target is not None and torch.device(target).type == "cpu"
    return func.overloadpacket is _aten.copy_ and not isinstance(args[0], SimulatedTensor)


def _check_devices(func: Any, args: Any, given: list[torch.Tensor]) -> None:
    on_cpu = [tensor for tensor in given if not isinstance(tensor, SimulatedTensor)]
    if func.overloadpacket in _ACROSS_DEVICES:
        copies = func.overloadpacket in (_aten.copy_, _aten._to_copy)
        on_cpu = [] if copies or isinstance(args[0], SimulatedTensor) else on_cpu
    if any(tensor.ndim for tensor in on_cpu):
        raise RuntimeError(f"{func}: expected all tensors to be on the same device, but some are on the CPU")


def _check_generator(kwargs: dict[str, Any], is_simulated: bool) -> None:
    generator = kwargs.get("generator")
    if is_simulated and generator is not None and generator.device.type == "cpu":
        raise RuntimeError("expected a generator of the GPU, but found one of the CPU")


def _unwrap(value: Any) -> Any:
    return value.wrapped if isinstance(value, SimulatedTensor) else value


class _Module:
    """What torch asks of a device: nothing but this device is there, and libraries do not choose it by themselves."""

    def is_initialized(self) -> bool:
        return True

    def is_available(self) -> bool:
        return False

    def current_device(self) -> int:
        return 0

    def device_count(self) -> int:
        return 0

    def manual_seed_all(self, seed: int) -> None:
        """Do nothing: random numbers are those of the CPU."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]

    def _is_in_bad_fork(self) -> bool:
        return False


class _Hook(torch._C._acc.PrivateUse1Hooks):  # type: ignore[misc]
    def is_available(self) -> bool:
        return False

    def has_primary_context(self, device_id: int) -> bool:
        return True

    def is_built(self) -> bool:
        return True


def _run_elsewhere(func: Any, *args: Any, **kwargs: Any) -> Any:
    """Run what the simulation does not see: operations of other threads, and inside of torch."""
    return _run(func, args, kwargs, None)


_library = torch.library.Library("_", "IMPL")
_registered: list[torch.device] = []


def _device() -> torch.device:
    if not _registered:
        _setup_privateuseone_for_python_backend("simulated", _Module(), _Hook())
        _registered.append(torch.device("simulated", 0))
        _library.fallback(_run_elsewhere, "PrivateUse1")
    return _registered[0]
