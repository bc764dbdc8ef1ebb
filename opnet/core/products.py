"""`affine` and `product`: matrix products in one pass, where the processor's library has it and nothing looks on.

For narrow matrices oneDNN's product takes half the time of the one torch calls, and adds the bias and an activation in
the same pass. Torch calls it in compiled graphs and does not document it: it is used for what it is known to do, and
everything else takes the plain path, which gives the same to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import functional


def is_eager(*tensors: Tensor) -> bool:
    """Whether these are mere numbers, of one dtype on one device: no transform, trace, compiler, autocast or subclass
    sees what is done with them, so that a hand-written derivative or an operation without one may be used.
    """
    first = tensors[0]
    return (
        all(isinstance(t, torch.nn.Parameter) or type(t) is Tensor for t in tensors)
        and all(t.dtype == first.dtype and t.device == first.device for t in tensors)
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()  # type: ignore[attr-defined]
        and not torch.is_autocast_enabled(first.device.type)
        and not torch._C._are_functorch_transforms_active()
        and forward_ad._current_level < 0
    )


def is_fusible(*tensors: Tensor) -> bool:
    """Whether `fused_affine` may take these: it has no derivative, so see also `torch.is_grad_enabled`."""
    first = tensors[0]
    return (
        first.dtype == torch.float32
        and first.device.type == "cpu"
        and all(t.numel() > 0 and _is_dense(t) for t in tensors)
        and is_eager(*tensors)
        and operation() is not None
    )


def _is_dense(t: Tensor) -> bool:
    """Whether t or its transpose lies without gaps: of slices oneDNN makes a product a hundred times slower."""
    return t.is_contiguous() or (t.ndim == 2 and t.t().is_contiguous())


@lru_cache(maxsize=1)
def operation() -> Callable[..., Tensor] | None:
    """oneDNN's linear with an activation, if this build of torch has it and it answers as expected."""
    try:
        found = torch.ops.mkldnn._linear_pointwise
        x, weight, bias = torch.tensor([[0.5, -2.0]]), torch.tensor([[1.0, 2.0], [0.25, 0.5]]), torch.tensor([0.1, 0.2])
        for name, rho in (("none", lambda z: z), ("tanh", torch.tanh), ("relu", torch.relu)):
            torch.testing.assert_close(found(x, weight, bias, name, [], ""), rho(x @ weight.T + bias))
    except (AttributeError, RuntimeError, TypeError, AssertionError):
        return None
    return found


def fused_affine(x: Tensor, weight: Tensor, bias: Tensor | None, activation: str = "none") -> Tensor:
    """`rho(x weight^T + bias)` for what `is_fusible`, without a derivative.  # shape: (n, in), (out, in), (out,)"""
    found = operation()
    assert found is not None
    return found(x, weight, bias, activation, [], "")


def affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`x weight^T + bias`, fused where no derivative is recorded.  # shape: (n, in), (out, in), (out,) -> (n, out)"""
    if not torch.is_grad_enabled() and is_fusible(x, weight, bias):
        return fused_affine(x, weight, bias)
    return functional.linear(x, weight, bias)


def product(a: Tensor, b: Tensor) -> Tensor:
    """`a b`, fused where no derivative is recorded.  # shape: (n, k), (k, m) -> (n, m)

    >>> product(torch.ones(2, 3), torch.ones(3, 1)).tolist()
    [[3.0], [3.0]]
    """
    if not torch.is_grad_enabled() and is_fusible(a, b):
        return fused_affine(a, b.t(), None)
    return a @ b


def add_product(c: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """`c + a b`, in c's place.  # shape: (n, m), (n, k), (k, m) -> (n, m)"""
    if not torch.is_grad_enabled() and is_fusible(a, b):
        return c.add_(fused_affine(a, b.t(), None))
    return c.addmm_(a, b)
