"""`ReducedBasis`: Galerkin's method in the span of training solutions, the classical answer to learning an operator."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from opnet.core.expect import at_least
from opnet.core.registry import register
from opnet.core.typing import Float
from opnet.linops.diffusion import Diffusion
from opnet.models.blocks.stored_functions import StoredFunctions, described
from opnet.models.grid_model import GridModel
from opnet.solvers.linear.cg import CG
from opnet.solvers.linear.solve import solve_linear
from opnet.solvers.multigrid.multigrid import Multigrid
from opnet.spaces.grid import Grid
from opnet.spaces.interpolation import close_ends, open_ends, sine_interpolate
from opnet.spaces.pod import pod


@register("model", "ReducedBasis")
class ReducedBasis(GridModel):
    r"""The reduced basis method for `-div(a grad u) = f` with u = 0 on the sides and f constant.

    .. math:: u = \sum_k c_k \psi_k, \qquad \sum_l \langle \psi_k, A \psi_l \rangle c_l = \langle \psi_k, b \rangle

    with A and b the finite volumes of `Diffusion` for the a at hand, and psi the modes of the training solutions
    (`pod`, about zero), which `adapt(inputs, targets, grid)` finds once. Nothing is learned by gradients. Of all
    functions in the span the answer is the nearest to the finite volumes' in the energy norm, and `error_bound` says
    how far it is at most. A costs `rank` products with A and a dense system of that size a sample; on other grids
    the modes are taken by their sine series, and the coefficient as it is there.

    Good: rank 10 to 50. Good where solutions lie near a small space (smooth coefficients, few parameters): there its
    error falls exponentially with the rank. Bad where the solution's features move with the coefficient. It knows the
    equation: compare it with learned operators as a row of its own. Inputs and targets must be in physical units, not
    normalised.

    Args:
        rank: number of modes.
        forcing: f.
        log_scale: s, for inputs g with a = exp(s g): 1 for the logarithm of the coefficient; None: inputs are a.
        grid: description of the grid the modes sit on, of a model that was adapted; None before.

    Raises:
        ValueError: for an argument out of range; on a call, for inputs that do not fit or are not positive, sides other
            than Dirichlet, or before `adapt`.

    Source: G. Rozza, D. B. P. Huynh and A. T. Patera, Reduced basis approximation and a posteriori error estimation for
    affinely parametrized elliptic coercive PDEs, Arch. Comput. Methods Eng. 15 (2008), sections 3 and 4.

    >>> from opnet.solvers.pde.darcy_lognormal import DarcyLognormal
    >>> samples = DarcyLognormal().sample(0, range(12), 16, estimate_error=False)
    >>> model = ReducedBasis(6).double()
    >>> model.adapt(samples.inputs[:8], samples.targets[:8], samples.grid)
    >>> u = model(samples.inputs[8:], samples.grid)
    >>> bool(((u - samples.targets[8:]).norm() / samples.targets[8:].norm()) < 0.15)
    True
    """

    registered_name = "ReducedBasis"
    trainable = False
    needs_data = True
    sees_lengths = True
    in_channels = out_channels = 1

    def __init__(
        self,
        rank: int = 32,
        *,
        forcing: float = 1.0,
        log_scale: float | None = None,
        grid: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.rank = at_least("ReducedBasis: rank", rank)
        for name, value in (("forcing", forcing), ("log_scale", log_scale)):
            if value is not None and (value == 0 or not isfinite(value)):
                raise ValueError(f"ReducedBasis: {name}: expected a finite number other than 0, found {value}")
        self.forcing, self.log_scale = forcing, log_scale
        self.modes = StoredFunctions("ReducedBasis", rank, 1, grid, sine_interpolate)
        self.arguments = {"rank": rank, "forcing": forcing, "log_scale": log_scale}
        self._sits_on(self.modes.grid)

    def adapt(self, inputs: Tensor, targets: Tensor, grid: Grid) -> None:
        """Take the modes of training solutions.

        # shape: targets (sample, 1, *grid)

        Raises:
            ValueError: for other channels or sides, or a rank beyond what the solutions span.
        """
        _check_sides(grid)
        if targets.ndim < 2 or targets.shape[1] != 1:
            raise ValueError(f"ReducedBasis: targets: expected (sample, 1, *grid), found {tuple(targets.shape)}")
        try:
            basis = pod(targets, grid, self.rank, centred=False)
        except ValueError as error:
            raise ValueError(f"ReducedBasis: {error}") from error
        self.modes.hold(basis.modes, grid)
        self._sits_on(grid)

    def forward(self, inputs: Tensor, grid: Grid | None = None) -> Float[Tensor, "batch 1 *grid"]:
        """u for every a of the batch; without a grid, the nodes are cells of the unit box.

        # shape: (batch, 1, *grid) -> (batch, 1, *grid)
        """
        grid = self.checked(inputs, grid)
        A, b = self._system(inputs, grid)
        return open_ends(self._solution(A, b).unsqueeze(1), grid).contiguous()

    def error_bound(self, inputs: Tensor, grid: Grid | None = None) -> Float[Tensor, " batch"]:
        r"""How far the answer is at most from the finite volumes' own: in the H1 seminorm, relative to the answer's.

        .. math:: \frac{|u - u_h|_1}{|u|_1} \le \frac{\| b - A u \|_{-1}}{\min a \; |u|_1}, \qquad
           \| r \|_{-1}^2 = \langle r, L^{-1} r \rangle, \quad |u|_1^2 = \langle u, L u \rangle

        with L the finite volumes of a = 1 (Rozza, Huynh and Patera 2008, equation 4.46, the coercivity constant
        bounded by min a). One solve with L a sample.
        """
        grid = self.checked(inputs, grid)
        A, b = self._system(inputs.double(), grid)
        u = self._solution(A, b)
        laplacian = Diffusion(torch.ones(A.grid.shape, dtype=u.dtype, device=u.device), A.grid)
        r = b - A.apply(u)
        z = solve_linear(laplacian, r, CG(preconditioner=Multigrid()), rtol=1e-8).value
        squares = [(v * w).flatten(1).sum(1) for v, w in ((r, z), (u, laplacian.apply(u)))]
        least = self._coefficient(inputs.double()).flatten(1).amin(1)
        return (squares[0].clamp_min(0) / squares[1]).sqrt() / least

    def _coefficient(self, inputs: Tensor) -> Tensor:
        return inputs if self.log_scale is None else torch.exp(self.log_scale * inputs)

    def _system(self, inputs: Tensor, grid: Grid) -> tuple[Diffusion, Tensor]:
        """A and b on the grid with its ends, where the sides' nodes have values."""
        _check_sides(grid)
        a, closed = close_ends(self._coefficient(inputs), grid)
        A = Diffusion(a[:, 0], closed)
        return A, A.right_hand_side(self.forcing)

    def _solution(self, A: Diffusion, b: Tensor) -> Float[Tensor, "batch *grid"]:
        modes = self.modes.at(A.grid)[:, 0].to(b.dtype)
        flat = modes.flatten(1)
        # Mode by mode: all at once would take rank times the memory.
        matrix = torch.stack([A.apply(mode).flatten(1) @ flat.T for mode in modes], 1)
        c = torch.linalg.solve(matrix, b.flatten(1) @ flat.T)
        return torch.tensordot(c, modes, dims=1)

    def _sits_on(self, grid: Grid | None) -> None:
        self.arguments["grid"] = described(grid)
        self.dim = None if grid is None else grid.dim


def _check_sides(grid: Grid) -> None:
    if any(set(pair) != {"dirichlet"} for pair in grid.boundary):
        raise ValueError(f"ReducedBasis: grid: expected Dirichlet sides, where u = 0, found {grid.boundary}")
