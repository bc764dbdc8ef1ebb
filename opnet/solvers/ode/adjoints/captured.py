"""`Captured`: the tensors that gradients must go to because a function closes over them; gradients that stop there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary


class Captured(TorchFunctionMode):
    """Finds every tensor with gradients that enters a computation run under `torch.no_grad()` within this context.

    What the computation makes itself has no gradients there, so that a tensor that has comes from outside: a parameter
    of a module, a variable of a closure, a global, used at whatever time and however it is kept. Graphs that the
    computation makes for itself under `torch.enable_grad()`, such as Jacobians, are told apart by their results having
    been seen.

    Attributes:
        tensors: those found, in the order they were used.

    >>> weight, bias = torch.ones(2, requires_grad=True), torch.zeros(2, requires_grad=True)
    >>> with torch.no_grad(), Captured() as captured:
    ...     y = torch.ones(2) * weight
    >>> [x is weight for x in captured.tensors]
    [True]
    """

    def __init__(self) -> None:
        super().__init__()
        self._found: dict[int, Tensor] = {}
        self._own: WeakIdKeyDictionary = WeakIdKeyDictionary()

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return tuple(self._found.values())

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self._look(args)
        if kwargs:
            self._look(kwargs.values())
        value = func(*args, **(kwargs or {}))
        self._mark(value)
        if func is Tensor.requires_grad.__set__:  # type: ignore[attr-defined]
            self._mark(args[0])
        return value

    def _look(self, values: Any) -> None:
        for value in values:
            if isinstance(value, Tensor):
                if value.requires_grad and id(value) not in self._found and not self._made_here(value):
                    self._found[id(value)] = value
            elif isinstance(value, (tuple, list)):
                self._look(value)
            elif isinstance(value, dict):
                self._look(value.values())

    def _made_here(self, value: Tensor) -> bool:
        return value in self._own or torch._C._functorch.is_functorch_wrapped_tensor(value)

    def _mark(self, value: Any) -> None:
        if isinstance(value, Tensor):
            # A result that has no gradients can only be given some under `enable_grad`.
            if (value.requires_grad or torch.is_grad_enabled()) and id(value) not in self._found:
                self._own[value] = None
        elif isinstance(value, (tuple, list)):
            for part in value:
                self._mark(part)


def pull(
    outputs: Sequence[Tensor], inputs: Sequence[Tensor], cotangents: Sequence[Tensor], *, create_graph: bool = False
) -> tuple[Tensor | None, ...]:
    """Gradients of `sum <outputs, cotangents>` to inputs, None where there is none.

    An input that was itself computed from another is held fixed: what comes through it belongs to its own gradient.
    """
    hooks = []
    if len(inputs) > 1:
        hooks = [x.grad_fn.register_prehook(_stop(x.output_nr)) for x in inputs if x.grad_fn is not None]
    try:
        return torch.autograd.grad(
            outputs, inputs, cotangents, retain_graph=True, create_graph=create_graph, allow_unused=True
        )
    finally:
        for hook in hooks:
            hook.remove()


def _stop(number: int) -> Callable[[tuple[Tensor | None, ...]], tuple[Tensor | None, ...]]:
    return lambda gradients: tuple(None if i == number else g for i, g in enumerate(gradients))
