"""`Jacobians`: df/dy and df/dt of every row, by automatic differentiation, given, or compressed by its sparsity."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from opnet.core.expect import found
from opnet.solvers.ode.fields import Function
from opnet.solvers.ode.problem import Problem, Rows
from opnet.solvers.ode.stages import Time

ONE_BY_ONE = 2  # products up to which a loop is faster than one batched pass


class Linearisation(NamedTuple):
    """f near a point: f(t + s, y + v) = value + jacobian v + time s + ...

    Attributes:
        value: f(t, y); (batch, n).
        jacobian: df/dy; (batch, n, n).
        time: df/dt; (batch, n); None where f does not depend on t.
    """

    value: Tensor
    jacobian: Tensor
    time: Tensor | None


class Jacobians:
    """df/dy of a function of rows.

    A row is a system of its own: f must treat each by itself, also where one step serves the batch. A state without a
    batch is one row, whose entries may depend on each other as they like.

    f is evaluated once, and differentiated by one product with a cotangent for each entry of y, or for each colour of
    the rows of the sparsity if it is known (Curtis, Powell and Reid, *IMA J. Appl. Math.* 13 (1974) 117-119). df/dt
    comes from the same evaluation, where f depends on t at all: w -> w^T df/dt is linear in w, and its derivative is
    df/dt. What comes out can be differentiated again wherever gradients are wanted of y, t or anything that f uses.
    One linearisation counts as one evaluation, a given Jacobian as another.

    Args:
        problem: whose state, arguments and counts f has.
        f: in rows.
        jacobian: df/dy as a function of the user's (t, y, *args); by automatic differentiation if None.
        sparsity: where df/dy may differ from zero, a boolean (n, n) tensor; everywhere if None.

    Raises:
        ValueError: for a sparsity or a Jacobian of another form, or a sparsity that the first point belies.

    >>> from opnet.solvers.ode.fields import Field
    >>> y = torch.tensor([[1.0, 2.0]])
    >>> problem = Problem(
    ...     Field(lambda t, y: torch.stack([y[:, 0] * y[:, 1], t * y[:, 0]], 1)),
    ...     y, joint=True, rtol=1e-5, atol=1e-7, keep=False, estimates=False,
    ... )
    >>> Jacobians(problem, problem.f).linearise(3.0, y)
    Linearisation(value=tensor([[2., 3.]]), jacobian=tensor([[[2., 1.], [3., 0.]]]), time=tensor([[0., 1.]]))
    """

    def __init__(
        self, problem: Problem, f: Rows, jacobian: Function | None = None, sparsity: Tensor | None = None
    ) -> None:
        self.problem, self.f, self.jacobian, self.sparsity = problem, f, jacobian, sparsity
        self._batched, self._checked = True, False
        self._units: Tensor | None = None
        n = problem.y0.shape[1]
        if sparsity is not None and (sparsity.shape != (n, n) or sparsity.dtype != torch.bool):
            raise ValueError(f"Field.sparsity: expected a boolean tensor of shape ({n}, {n}), found {found(sparsity)}")

    def __call__(self, t: Time, y: Tensor) -> Tensor:
        """df/dy at (t, y); (batch, n, n)."""
        return self._given(t, y) if self.jacobian is not None else self.linearise(t, y, time=False).jacobian

    def time_derivative(self, t: Time, y: Tensor) -> Tensor:
        """df/dt at (t, y); (batch, n); zero where f does not depend on t."""
        wanted = torch.is_grad_enabled()
        s = _variable(_clock(t, y), wanted)
        with torch.enable_grad():
            value = self.f(s, y)
        (depends,), past = _graph(value, s)
        return _slope(value, s, wanted and past) if depends else torch.zeros_like(y)

    def linearise(self, t: Time, y: Tensor, *, time: bool = True) -> Linearisation:
        """f, df/dy and, if asked for, df/dt at (t, y), of one evaluation."""
        if torch.compiler.is_compiling():
            return self._forward(_clock(t, y), y, time)
        wanted = torch.is_grad_enabled()
        s = _variable(_clock(t, y), wanted)
        x = _variable(y, wanted) if self.jacobian is None else y
        with torch.enable_grad():
            value = self.f(s if time else t, x)
        (depends, *_), past = _graph(value, s, *([x] if self.jacobian is None else []))
        wanted = wanted and past
        J = self._differentiate(value, x, wanted) if self.jacobian is None else self._given(t, y)
        slope = _slope(value, s, wanted) if depends else None
        return Linearisation(value if wanted else value.detach(), J, slope)

    def _forward(self, t: Tensor, y: Tensor, time: bool) -> Linearisation:
        """By forward mode, which the compiler can trace; it computes once what the products have in common."""
        before = self.problem.evaluations
        value, slope = torch.func.jvp(lambda s: self.f(s, y), (t,), (torch.ones_like(t),))[:2]
        if self.jacobian is not None:
            J = self._given(t, y)
        else:
            J = torch.stack([torch.func.jvp(lambda x: self.f(t, x), (y,), (v,))[1] for v in self._along(y)], 2)
        self.problem.evaluations = before + 1 + (self.jacobian is not None)
        return Linearisation(value, J, slope if time else None)

    def _given(self, t: Time, y: Tensor) -> Tensor:
        assert self.jacobian is not None
        problem, (batch, n) = self.problem, y.shape
        problem.evaluations += 1
        J = self.jacobian(problem.time(t, y), problem.layout.state(y), *problem.args)
        if not self._checked:
            shape = (batch, n, n) if problem.layout.batched else (n, n)
            if not isinstance(J, Tensor) or J.shape != shape or J.dtype != y.dtype:
                raise ValueError(f"Field.jacobian: expected a {y.dtype} tensor of shape {shape}, found {found(J)}")
            self._checked = True
        return J.reshape(batch, n, n)

    def _differentiate(self, value: Tensor, x: Tensor, wanted: bool) -> Tensor:
        if not value.requires_grad:  # f is constant
            return x.new_zeros(*x.shape, x.shape[1])
        if self.sparsity is None:
            return self._products(value, x, self._along(x), wanted)
        colours, pattern = self._colours, self.sparsity.to(x.device)
        groups = torch.nn.functional.one_hot(colours).T.to(x.dtype)
        J = torch.where(
            pattern, self._products(value, x, groups[:, None].expand(-1, *x.shape), wanted)[:, colours], 0.0
        )
        if not self._checked:
            self._check(value, x, J.detach())
        return J

    def _along(self, x: Tensor) -> Tensor:
        """The unit vectors, each for all elements: (n, batch, n)."""
        if self._units is None or self._units.shape[1] != len(x):
            self._units = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)[:, None].expand(-1, *x.shape)
        return self._units

    def _products(self, value: Tensor, x: Tensor, w: Tensor, wanted: bool) -> Tensor:
        """w_k^T df/dy for cotangents (products, batch, n): (batch, products, n)."""
        if self._batched and len(w) > ONE_BY_ONE:
            try:
                return _gradient(value, x, w, wanted, batched=True).transpose(0, 1)
            except RuntimeError:  # torch cannot batch every backward pass; if f itself is to blame, it raises below
                self._batched = False
        return torch.stack([_gradient(value, x, one, wanted) for one in w], 1)

    @cached_property
    def _colours(self) -> Tensor:
        assert self.sparsity is not None
        return colour_rows(self.sparsity).to(self.sparsity.device)

    def _check(self, value: Tensor, x: Tensor, J: Tensor) -> None:
        """Refuse a sparsity that leaves out entries, which would be added to others: one more product, once."""
        w = torch.linspace(1.0, 2.0, x.shape[1], dtype=x.dtype, device=x.device)
        exact, ours = _gradient(value, x, w.expand(value.shape), False), torch.einsum("i,bij->bj", w, J)
        size = torch.einsum("i,bij->bj", w, J.abs()) + exact.abs()
        wrong = (exact - ours).abs() > 1000 * torch.finfo(x.dtype).eps * size  # no comparison holds for NaN
        if wrong.any():
            column = int(wrong.any(0).nonzero()[0])
            raise ValueError(
                f"Field.sparsity: expected every entry where df/dy differs from zero, found others in column {column}"
            )
        self._checked = True


def colour_rows(pattern: Tensor) -> Tensor:
    """Colours of the rows, such that rows of one colour have no column in common; greedy, the fullest rows first.

    >>> colour_rows(torch.ones(6, 6).tril(1).triu(-1).bool())
    tensor([2, 0, 1, 2, 0, 1])
    """
    rows = pattern.detach().cpu()
    columns: list[set[int]] = [set(row.nonzero()[:, 0].tolist()) for row in rows]
    colours = [0] * len(columns)
    taken: list[set[int]] = []  # columns of the rows of each colour
    for i in sorted(range(len(columns)), key=lambda i: -len(columns[i])):
        colour = next((c for c, used in enumerate(taken) if used.isdisjoint(columns[i])), len(taken))
        if colour == len(taken):
            taken.append(set())
        taken[colour] |= columns[i]
        colours[i] = colour
    return torch.tensor(colours)


def _variable(x: Tensor, wanted: bool) -> Tensor:
    """x to differentiate by: an alias, since what else f uses may have been made of x, and is constant here."""
    if wanted and x.requires_grad:
        return x.view_as(x)
    return x.detach().requires_grad_()


def _clock(t: Time, y: Tensor) -> Tensor:
    return t if isinstance(t, Tensor) else torch.tensor(t, dtype=torch.float64, device=y.device)


def _gradient(value: Tensor, x: Tensor, w: Tensor, wanted: bool, batched: bool = False) -> Tensor:
    (gradient,) = torch.autograd.grad(
        value, x, w, retain_graph=True, create_graph=wanted, is_grads_batched=batched, materialize_grads=True
    )
    return gradient


def _slope(value: Tensor, s: Tensor, wanted: bool) -> Tensor:
    """df/dt of each row, although one s may serve them all: the derivative by w of the gradient of <w, f> by s."""
    with torch.enable_grad():
        w = torch.zeros_like(value, requires_grad=True)
        (pulled,) = torch.autograd.grad(value, s, w, create_graph=True)
        return _gradient(pulled, w, torch.ones_like(pulled), wanted)


def _graph(value: Tensor, *variables: Tensor) -> tuple[list[bool], bool]:
    """Which of the variables a value depends on, and whether it has a past besides: gradients are wanted then."""
    used, past = [False] * len(variables), any(v.grad_fn is not None for v in variables)
    nodes, seen = [value.grad_fn], set()
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)
        own = [node is v.grad_fn or leaf is v for v in variables]
        if any(own):
            used[own.index(True)] = True
        else:
            past |= leaf is not None
            nodes.extend(parent for parent, _ in node.next_functions)
    return used, past
