"""`SemilinearPeriodic`: `u_t = L u + M g(u)` on periodic boxes, by ETDRK4 on Fourier modes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from itertools import pairwise
from math import ceil, prod
from typing import ClassVar

import torch
from torch import Tensor

from opnet.solvers.pde.evolution import Solved
from opnet.solvers.pde.memory import keep_freed_memory
from opnet.solvers.pde.periodic_box import TAIL, evaluate, spectrum_tail, wave_numbers
from opnet.solvers.pde.periodic_problem import PeriodicProblem
from opnet.solvers.pde.schemes.etdrk4 import etdrk4
from opnet.solvers.pde.schemes.kept_modes import KEPT, KeptModes
from opnet.solvers.pde.threads import one_thread
from opnet.spaces.grid import Grid

RESOLVED = {1: 1e-16, 2: 1e-12}  # by the number of axes: largest share of the energy in the highest third of modes kept
MOST = {1: 8192, 2: 512}  # nodes an axis
LEAST = 32  # nodes an axis
IDLE, ROUNDING = 1e-20, 1e-24  # tails above which a box that shrank grows again, and below which it shrinks
CHECK = 20  # steps after which it is asked again how long they may be
VALUES_AT_ONCE = 2**17  # of a batch: fewer leave torch's overhead dominant, more leave the caches

RANGE = {
    "least": "smallest value of any channel at any frame",
    "largest": "largest value of any channel at any frame",
}


class SemilinearPeriodic(PeriodicProblem):
    """`u_t = L u + M g(u)` with L and M diagonal in Fourier space and g a function of the values at a point.

    ETDRK4 (Cox and Matthews, J. Comput. Phys. 176 (2002), eqs. (26)-(29)) in equal steps of at most `step`, on `nodes`
    nodes an axis, of whose modes the lower two thirds are kept. Samples in whose highest third of the modes kept there
    is, at any frame, more than 1e-16 of the energy (1e-12 in two dimensions) are solved again with twice as many, up to
    8192 nodes (512 in two dimensions); the diagnostic "spectrum_tail" says what is left. The error is estimated with
    half again as many modes and half the step. Products of two are free of aliases; those of three are so as far as the
    tail is small.

    Attributes:
        nodes: an axis, to begin with.
        step: the largest step in time.
        resolved: the largest share of the energy in the highest third of the modes kept, by the number of axes.
        most: nodes an axis, by the number of axes.
        follows_spectrum: whether each sample has a box of its own, of half as many nodes once the others' modes are
            below rounding (not before the first check: a start may have few modes), and of more as soon as their
            energy nears what `resolved` allows.
    """

    nodes: int
    step: float

    follows_spectrum: ClassVar[bool] = False
    resolved: ClassVar[dict[int, float]] = RESOLVED
    most: ClassVar[dict[int, int]] = MOST
    order: ClassVar[float] = 4
    solver: ClassVar[str] = (
        "Fourier modes, the lower two thirds kept, as many as it takes for their highest third to hold at most 1e-16 "
        "of the energy (1e-12 in two dimensions; up to 8192 or 512 nodes an axis); ETDRK4 in equal steps (order 4)"
    )
    error_method: ClassVar[str] = (
        "16/15 of the relative L2 difference, in the worst channel and over all frames of the target, to the solution "
        "with half again as many modes and half the step"
    )
    diagnostics: ClassVar[dict[str, str]] = {"spectrum_tail": TAIL}

    @abstractmethod
    def symbols(self, k: Sequence[Tensor]) -> list[Tensor]:
        """L of each channel, real or complex, at angular wave numbers that broadcast."""

    @abstractmethod
    def nonlinear(self, u: Tensor) -> Tensor:
        """g.  # shape: (sample, channel, *box)"""

    @property
    def start_modes(self) -> int:
        """The largest mode of the initial state where all of its modes are to be kept; 0 where its tail decides."""
        return 0

    def step_on(self, box: Grid) -> float:
        """The largest step on a box."""
        return self.step

    def stability_rate(self, box: Grid, device: torch.device | str = "cpu") -> Callable[[Tensor], Tensor] | None:
        """modes -> 1 / the longest step that stays stable, (sample,); None where that does not depend on the state."""
        return None

    def weight(self, k: Sequence[Tensor]) -> Tensor:
        """M; 1 unless said otherwise."""
        return torch.ones_like(k[0])

    def monitored(self, states: Tensor) -> dict[str, Tensor]:
        """Further diagnostics of the values (sample, time, channel, *box) that are solved for."""
        return {}

    def tendency(self, box: Grid, device: torch.device | str = "cpu") -> Callable[[float, Tensor], Tensor]:
        """(t, modes) -> the modes of M g(u) that are kept."""
        kept = KeptModes(box, device)
        weight = kept.laid_out(self.weight(kept.k) * kept.mask)
        return lambda t, modes: kept.of(self.nonlinear(kept.values(modes))).mul_(weight)

    def time_derivative(self, u: Tensor, box: Grid) -> Tensor:
        """u_t = L u + M g(u) at the nodes of a box, differentiable; M g(u) of the modes that products leave free of
        aliases alone.

        # shape: (sample, channel, *box) -> the same
        """
        kept, axes = KeptModes(box, u.device), tuple(range(-box.dim, 0))
        symbol = torch.stack(self.symbols(wave_numbers(box, u.device)))
        linear = torch.fft.irfftn(symbol * torch.fft.rfftn(u, dim=axes), box.shape, axes)
        return linear + kept.values(self.tendency(box, u.device)(0.0, kept.of(u) * kept.mask))

    def solve(
        self, seed: int, indices: Sequence[int], grid: Grid, *, refinement: int = 0, device: torch.device | str = "cpu"
    ) -> Solved:
        nodes = self.nodes
        start_modes = grid.shape[0] / 2 if self.depends_on_grid else self.start_modes
        while start_modes and nodes * KEPT / 2 <= start_modes:
            nodes *= 2
        nodes = nodes * (2 + refinement) // 2
        solved: dict[int, Solved] = {}
        pending = list(range(len(indices)))
        keep_freed_memory()
        with one_thread():
            while pending:
                box = self.box(nodes)
                size = max(1, VALUES_AT_ONCE // prod(box.shape))
                for i in range(0, len(pending), size):
                    rows = pending[i : i + size]
                    start = self.start(seed, [indices[row] for row in rows], grid, box).to(device)
                    solved |= zip(rows, self._march(start, grid, box, self.step_on(box) / 2**refinement), strict=True)
                nodes *= 2
                pending = [i for i in pending if not solved[i].diagnostics["spectrum_tail"] <= self.resolved[grid.dim]]
                pending = pending if nodes <= self.most[grid.dim] else []
        samples = [solved[i] for i in range(len(indices))]
        return Solved(
            torch.stack([sample.states for sample in samples]),
            {name: torch.stack([s.diagnostics[name] for s in samples]) for name in samples[0].diagnostics},
        )

    def _march(self, start: Tensor, grid: Grid, box: Grid, step: float) -> list[Solved]:
        """Each sample by itself."""
        if self.follows_spectrum and len(start) > 1:
            return [solved for row in start.split(1) for solved in self._march(row, grid, box, step)]
        marching = _OnBox(self, box, start.device)
        on_boxes = {box.shape: marching}
        modes = marching.kept.of(start) * marching.kept.mask
        values, tails = [marching.kept.values(modes)], [spectrum_tail(modes, box, KEPT)]
        for t, end in pairwise(self._checks(marching)):
            if self.follows_spectrum and t > 0 and (nodes := self._nodes_for(modes, marching.kept.box, box)):
                if (shape := (nodes,) * box.dim) not in on_boxes:
                    on_boxes[shape] = _OnBox(self, self.box(nodes), start.device)
                modes, marching = marching.move(modes, on_boxes[shape]), on_boxes[shape]
            modes = marching.advance(modes, t, end, step)
            if end in self.frames:
                values.append(evaluate(marching.kept.values(modes), marching.kept.box, box))
                tails.append(spectrum_tail(modes, marching.kept.box, KEPT))
        states = torch.stack(values, 1)
        first = 1 if self.depends_on_grid or self.start_modes else 0  # its modes are kept; the equation may damp them
        diagnostics = {"spectrum_tail": torch.stack(tails[first:]).amax((0, 2)), **self.monitored(states)}
        states = evaluate(states, box, grid)
        rows = range(len(states))
        return [Solved(states[i], {name: values[i] for name, values in diagnostics.items()}) for i in rows]

    def _checks(self, marching: _OnBox) -> Sequence[float]:
        return self.frames if marching.rate is None else _cut(self.frames, CHECK * self.step)

    def _nodes_for(self, modes: Tensor, box: Grid, start: Grid) -> int:
        """How many nodes an axis the modes of a sample need from here on; 0 for those there are."""
        n = box.shape[0]
        enough = IDLE if n < start.shape[0] else self.resolved[box.dim] / 10
        if float(spectrum_tail(modes, box, KEPT).amax()) > enough and 2 * n <= self.most[box.dim]:
            return 2 * n
        of_half = spectrum_tail(modes, box, KEPT / 2)  # what the highest third would hold with half as many, and more
        return n // 2 if n % 4 == 0 and n > LEAST and float(of_half.amax()) < ROUNDING else 0


class _OnBox:
    """A problem's modes on a box, and how they advance there."""

    def __init__(self, problem: SemilinearPeriodic, box: Grid, device: torch.device) -> None:
        self.kept = KeptModes(box, device)
        self.symbol = self.kept.laid_out(torch.stack(problem.symbols(self.kept.k)))
        self.tendency, self.rate = problem.tendency(box, device), problem.stability_rate(box, device)
        self.multipliers: dict[float, list[Tensor]] = {}

    def advance(self, modes: Tensor, t: float, end: float, step: float) -> Tensor:
        return etdrk4(self.symbol, self.tendency, modes, (t, end), step, self.rate, self.multipliers)[-1]

    def move(self, modes: Tensor, other: _OnBox) -> Tensor:
        """The modes on another box, which keeps what there is in them."""
        return other.kept.of(evaluate(self.kept.values(modes), self.kept.box, other.kept.box)) * other.kept.mask


def _cut(frames: Sequence[float], longest: float) -> list[float]:
    """Frames, and times between them, so that none is farther than `longest` from the next."""
    times = [frames[0]]
    for t, end in pairwise(frames):
        count = ceil((end - t) / longest - 1e-9)
        times += [t + (end - t) * i / count for i in range(1, count)] + [end]
    return times


def extremes(states: Tensor) -> dict[str, Tensor]:
    """The diagnostics of `RANGE`."""
    least, largest = states.flatten(1).aminmax(dim=1)
    return {"least": least, "largest": largest}
