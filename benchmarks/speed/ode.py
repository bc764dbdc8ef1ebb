"""Ordinary differential equations: opnet against torchdiffeq, torchode and diffrax, on one thread, in turn.

    python benchmarks/speed/ode.py --quick --out ode.json

Medians of process time. `mode` is that of opnet: `eager`, one step for the batch (as torchdiffeq, and compared with
diffrax doing the same); `per_sample`, a step for each sample; `compiled`, the same in one compiled function (both
compared with diffrax with a step for each sample). Compiling is not counted on either side; `compile_seconds` is what
it takes. No one may win by solving worse: each has the largest and the median error over samples, against a reference.

Cases: van der Pol with mu .1 to 10, Lorenz, a stiff linear system (256 samples, double precision, Dormand and Prince's
method for all, rtol 1e-5, atol 1e-7); van der Pol with mu 10 to 1000, by Rosenbrock methods and diffrax's Kvaerno5, at
equal error of the final value, read off the curves of time over error (the safety factors of our steps were chosen on
this problem); a neural ODE (64-128-64 tanh, 512 samples, single precision), and with gradients, `part` "fused" with
`MLP` as the field and the rest with `nn.Sequential`; a graph ODE, `tanh(S H W)` with S sparse, of 4000 nodes, 20
neighbours and 64 features.

The curves are drawn beside the results.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import ode_cases as cases
import torch
import torchdiffeq
import torchode
from linear import in_turn
from ode_cases import Case, Solve
from torch import Tensor, nn

from opnet.evaluation.records import Record, record, write_results
from opnet.models.blocks.mlp import MLP
from opnet.solvers.ode.control import PID
from opnet.solvers.ode.methods.explicit import Dopri5
from opnet.solvers.ode.methods.rosenbrock import Rodas4, Rodas5P
from opnet.solvers.ode.solve import solve_ode

RTOL, ATOL = 1e-5, 1e-7
MODES: dict[str, dict[str, Any]] = {
    "eager": {"control": PID(joint=True)},
    "per_sample": {},
    "compiled": {"compiled": True},
}


def by_opnet(case: Case, rtol: float, atol: float, method: Any = None, **options: Any) -> Solve:
    y0, ts = case.start, case.times
    method = Dopri5() if method is None else method
    return lambda: solve_ode(case.f, y0, ts, method, rtol=rtol, atol=atol, **options).ys.numpy()


def errors(values: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Largest error of each sample, over times and entries."""
    return np.abs(values - truth).max((0, 2))


def say(case: str, times: dict[str, float], rest: str = "") -> None:
    print(f"{case}: " + ", ".join(f"{name} {1e3 * t:.2f} ms" for name, t in times.items()) + rest, flush=True)


def explicit(case: Case, repeats: int) -> list[Record]:
    truth = cases.reference(case)
    contestants: dict[str, Solve] = {
        "torchdiffeq": cases.by_torchdiffeq(case, RTOL, ATOL),
        "torchode": cases.by_torchode(case, RTOL, ATOL),
        "diffrax": cases.by_diffrax(case, RTOL, ATOL),
        "diffrax joint": cases.by_diffrax(case, RTOL, ATOL, joint=True),
        **{mode: by_opnet(case, RTOL, ATOL, **options) for mode, options in MODES.items()},
    }
    start = time.perf_counter()
    contestants["compiled"]()
    compiling = time.perf_counter() - start
    times = in_turn(contestants, repeats)
    records = [record("compile_seconds", compiling, unit="s", case=case.name, mode="compiled")]
    for name, solve in contestants.items():
        found = errors(solve(), truth)
        labels = {"model": "opnet", "mode": name} if name in MODES else {"model": name}
        records.append(record("seconds", times[name], unit="s", case=case.name, **labels))
        records.append(record("max_error", found.max(), case=case.name, **labels))
        records.append(record("median_error", float(np.median(found)), case=case.name, **labels))
    for mode in MODES:
        for peer in ("torchdiffeq", "torchode", "diffrax"):
            same = "diffrax joint" if peer == "diffrax" and mode == "eager" else peer
            ratio = times[same] / times[mode]
            records.append(record(f"speedup_vs_{peer}", ratio, unit="1", case=case.name, mode=mode))
    say(case.name, times, f"; compiling {compiling:.1f} s")
    return records


# -- time over error


def curve(
    case: Case, truth: np.ndarray, solvers: dict[str, Callable[[float], Solve]], tolerances: Any, repeats: int
) -> dict[str, np.ndarray]:
    """(tolerance, seconds, median error, largest error) of each solver at each tolerance."""
    points: dict[str, list[tuple[float, ...]]] = {name: [] for name in solvers}
    for tolerance in tolerances:
        contestants = {name: make(tolerance) for name, make in solvers.items()}
        times = in_turn(contestants, repeats)
        for name, solve in contestants.items():
            found = errors(solve(), truth)
            points[name].append((tolerance, times[name], float(np.median(found)), float(found.max())))
        say(f"{case.name} {tolerance:g}", times)
    return {name: np.array(rows) for name, rows in points.items()}


def at_equal_error(ours: np.ndarray, theirs: np.ndarray, column: int) -> float:
    """Their time over ours, at equal error: the mean over their points within our range, of logarithms interpolated."""
    order = np.argsort(ours[:, column])
    mine, seconds = np.log(ours[order, column]), np.log(ours[order, 1])
    inside = [row for row in theirs if mine[0] <= np.log(row[column]) <= mine[-1]]
    if not inside:
        raise ValueError("curves: expected errors that overlap, found none")
    return float(np.exp(np.mean([np.log(row[1]) - np.interp(np.log(row[column]), mine, seconds) for row in inside])))


def draw(name: str, curves: dict[str, np.ndarray], path: Path) -> None:
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
    for axis, column, label in zip(axes, (2, 3), ("median error over samples", "largest error"), strict=True):
        for i, (solver, points) in enumerate(curves.items()):
            style = "-o" if solver.startswith("opnet") else "--s"
            axis.loglog(points[:, column], 1e3 * points[:, 1], style, color=f"C{i}", label=solver, markersize=4)
        axis.set_xlabel(label)
        axis.grid(True, which="major", alpha=0.3)
    axes[0].set_ylabel("process time, ms")
    axes[0].set_title(name, loc="left", fontsize=10)
    axes[1].legend(fontsize=8)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def of_curves(case: str, curves: dict[str, np.ndarray]) -> list[Record]:
    records = []
    for name, points in curves.items():
        for tolerance, seconds, median, largest in points:
            for what, value in (
                ("curve_seconds", seconds),
                ("curve_median_error", median),
                ("curve_max_error", largest),
            ):
                records.append(record(what, value, case=case, model=name, tolerance=tolerance))
    return records


def explicit_curves(case: Case, tolerances: Any, repeats: int, folder: Path) -> list[Record]:
    solvers: Solvers = {
        "torchdiffeq": lambda tol: cases.by_torchdiffeq(case, tol, tol / 100),
        "diffrax": lambda tol: cases.by_diffrax(case, tol, tol / 100),
    }
    for mode, options in MODES.items():
        solvers[f"opnet {mode}"] = lambda tol, options=options: by_opnet(case, tol, tol / 100, **options)
    curves = curve(case, cases.reference(case), solvers, tolerances, repeats)
    draw(case.name, curves, folder / f"ode_{case.name}.png")
    return of_curves(case.name, curves)


STIFF: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "opnet Rodas5P": ("per_sample", Rodas5P("5P"), {"control": PID(safety=0.7)}),
    "opnet Rodas5P compiled": ("compiled", Rodas5P("5P"), {"control": PID(safety=0.8), "compiled": True}),
    "opnet Rodas4 compiled": ("compiled", Rodas4(), {"compiled": True}),
}


def stiff(case: Case, tolerances: Any, repeats: int, folder: Path) -> list[Record]:
    """Beside diffrax's Kvaerno5 with its default step control, and with the PI gains its manual advises here."""
    gains: dict[str, dict[str, float]] = {"diffrax Kvaerno5": {}, "diffrax Kvaerno5 PI": {"pcoeff": 0.3, "icoeff": 0.4}}
    solvers: Solvers = {
        peer: lambda tol, own=own: cases.by_diffrax(case, tol, tol / 100, diffrax.Kvaerno5(), **own)
        for peer, own in gains.items()
    }
    for name, (_, method, options) in STIFF.items():
        solvers[name] = lambda tol, method=method, options=options: by_opnet(case, tol, tol, method, **options)
    curves = curve(case, cases.reference(case), solvers, tolerances, repeats)
    draw(case.name, curves, folder / f"ode_{case.name}.png")
    records = of_curves(case.name, curves)
    for name, (mode, _, _) in STIFF.items():
        for peer in gains:
            for part, column in (("median", 2), ("max", 3)):
                ratio = at_equal_error(curves[name], curves[peer], column)
                labels = {"case": case.name, "mode": mode, "model": name, "of": peer, "part": part}
                records.append(record("speedup_vs_diffrax", ratio, unit="1", **labels))
                print(f"{case.name}: {name} {ratio:.2f} times {peer} at equal {part} error", flush=True)
    return records


# -- networks


def neural_ode(repeats: int, seed: int) -> list[Record]:
    torch.manual_seed(seed)
    plain = nn.Sequential(nn.Linear(64, 128), nn.Tanh(), nn.Linear(128, 64))
    fused = MLP((64, 128, 64))
    fused.load_state_dict(plain.state_dict())
    y0, ts = torch.randn(512, 64), torch.tensor([0.0, 3.0])
    weights = [jnp.asarray(p.detach().numpy()) for p in plain.parameters()]
    start, ends = jnp.asarray(y0.numpy()), jnp.asarray(ts.numpy())

    def g(t: Any, y: Any, p: Any) -> Any:
        a, b, c, d = p
        return jnp.tanh(y @ a.T + b) @ c.T + d

    def by_jax(adjoint: Any) -> Callable[[Any], Any]:
        def final(p: Any) -> Any:
            control = diffrax.PIDController(RTOL, ATOL)
            options = {"stepsize_controller": control, "adjoint": adjoint, "max_steps": 64}
            return diffrax.diffeqsolve(
                diffrax.ODETerm(g), diffrax.Dopri5(), ends[0], ends[1], None, start, p, **options
            ).ys[-1]

        return final

    def theirs(field: nn.Module) -> Tensor:
        return torchdiffeq.odeint(lambda t, y: field(y), y0, ts, rtol=RTOL, atol=ATOL, method="dopri5")[-1]

    def torchode_(field: nn.Module) -> Tensor:
        term = torchode.ODETerm(lambda t, y: field(y))
        adjoint = torchode.AutoDiffAdjoint(torchode.Dopri5(term), torchode.IntegralController(ATOL, RTOL, term=term))
        return adjoint.solve(torchode.InitialValueProblem(y0=y0, t_eval=ts.expand(512, -1))).ys[:, -1]

    def ours(field: nn.Module, **options: Any) -> Tensor:
        return solve_ode(lambda t, y: field(y), y0, ts, rtol=RTOL, atol=ATOL, **options).ys[-1]

    joint = MODES["eager"]
    ways: dict[str, Callable[[], Tensor]] = {
        "torchdiffeq": lambda: theirs(plain),
        "torchode": lambda: torchode_(plain),
        "eager": lambda: ours(plain, **joint),
        "eager fused": lambda: ours(fused, **joint),
        "per_sample": lambda: ours(plain),
        "per_sample fused": lambda: ours(fused),
        "compiled": lambda: ours(plain, compiled=True, **joint),
    }
    truth = solve_ode(lambda t, y: plain.double()(y), y0.double(), ts.double(), rtol=1e-10, atol=1e-12, **joint).ys[-1]
    plain.float()

    def without(way: Callable[[], Tensor]) -> np.ndarray:
        with torch.no_grad():
            return way().numpy()

    def gradients(way: Callable[[], Tensor], field: nn.Module) -> None:
        way().square().mean().backward()
        for p in field.parameters():
            p.grad = None

    adjoints = {"": diffrax.RecursiveCheckpointAdjoint(), " direct": diffrax.DirectAdjoint()}
    forward = jax.jit(by_jax(adjoints[""]))
    contestants: dict[str, Callable[[], Any]] = {name: (lambda way=way: without(way)) for name, way in ways.items()}
    contestants["diffrax"] = lambda: np.asarray(forward(weights).block_until_ready())
    records = _networks("neural_ode", contestants, repeats, lambda name: errors_of(contestants[name](), truth))
    backward: dict[str, Callable[[], Any]] = {
        name: (lambda way=way, name=name: gradients(way, fused if "fused" in name else plain))
        for name, way in ways.items()
        if name != "compiled"
    }
    for name, adjoint in adjoints.items():
        final = by_jax(adjoint)
        loss = jax.jit(jax.grad(lambda p, final=final: (final(p) ** 2).mean()))
        backward["diffrax" + name] = lambda loss=loss: jax.block_until_ready(loss(weights))
    return records + _networks("neural_ode_backward", backward, repeats)


def errors_of(values: np.ndarray, truth: Tensor) -> float:
    return float(np.abs(values - truth.detach().numpy()).max())


def _networks(
    case: str, contestants: dict[str, Callable[[], Any]], repeats: int, error: Callable[[str], float] | None = None
) -> list[Record]:
    times = in_turn(contestants, repeats)
    if "diffrax direct" in times:  # its faster adjoint
        times["diffrax"] = min(times["diffrax"], times.pop("diffrax direct"))
    records = []
    for name, seconds in times.items():
        mode, _, part = name.partition(" ")
        ours = mode in MODES
        labels = {"model": "opnet", "mode": mode, "part": part or None} if ours else {"model": name}
        records.append(record("seconds", seconds, unit="s", case=case, **labels))
        if error is not None:
            records.append(record("max_error", error(name), case=case, **labels))
        for peer in ("torchdiffeq", "torchode", "diffrax"):
            if ours and peer in times:
                ratio = times[peer] / seconds
                records.append(record(f"speedup_vs_{peer}", ratio, unit="1", case=case, mode=mode, part=part or None))
    say(case, times)
    return records


def graph_ode(repeats: int, seed: int) -> list[Record]:
    """`H' = tanh(S H W)`, S symmetric and normalised by degrees, in CSR form."""
    generator = torch.Generator().manual_seed(seed)
    n, features, neighbours = 4000, 64, 20
    rows = torch.arange(n).repeat_interleave(neighbours // 2)
    columns = torch.randint(0, n, (len(rows),), generator=generator)
    index = torch.stack([torch.cat([rows, columns]), torch.cat([columns, rows])])
    S = torch.sparse_coo_tensor(index, torch.full((2 * len(rows),), 1 / neighbours), (n, n)).coalesce().to_sparse_csr()
    W = torch.randn(features, features, generator=generator) / features**0.5
    y0, ts = torch.randn(n, features, generator=generator), torch.tensor([0.0, 5.0])

    def f(t: Tensor, H: Tensor) -> Tensor:
        return torch.tanh(S @ (H @ W))

    joint = MODES["eager"]
    contestants: dict[str, Callable[[], np.ndarray]] = {
        "torchdiffeq": lambda: torchdiffeq.odeint(f, y0, ts, rtol=RTOL, atol=ATOL, method="dopri5")[-1].numpy(),
        "eager": lambda: solve_ode(f, y0, ts, rtol=RTOL, atol=ATOL, **joint).ys[-1].numpy(),
    }
    truth = solve_ode(f, y0, ts, rtol=1e-7, atol=1e-8, **joint).ys[-1]
    return _networks("graph_ode", contestants, repeats, lambda name: errors_of(contestants[name](), truth))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="3 repeats and short curves")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", help="names of cases")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    quick, seed, folder = arguments.quick, arguments.seed, arguments.out.parent
    repeats, batch = (3 if quick else 9), 256
    tolerances = np.geomspace(1e-3, 1e-7, 3 if quick else 5)
    parts: dict[str, Callable[[], list[Record]]] = {
        "van_der_pol": lambda: explicit(cases.van_der_pol(batch), repeats),
        "lorenz": lambda: explicit(cases.lorenz(batch, seed), repeats),
        "stiff_linear": lambda: explicit(cases.stiff_linear(batch, seed), repeats),
        "neural_ode": lambda: neural_ode(repeats, seed),
        "graph_ode": lambda: graph_ode(repeats, seed),
        "curves_van_der_pol": lambda: explicit_curves(cases.van_der_pol(batch), tolerances, repeats // 3, folder),
        "curves_lorenz": lambda: explicit_curves(cases.lorenz(batch, seed), tolerances, repeats // 3, folder),
        "stiff_van_der_pol": lambda: stiff(
            cases.stiff_van_der_pol(64 if quick else batch), np.geomspace(1e-3, 1e-7, 3 if quick else 5), 3, folder
        ),
    }
    records: list[Record] = []
    for name, part in parts.items():
        if not arguments.only or name in arguments.only:
            records += part()
    versions = {"torchdiffeq": torchdiffeq.__version__, "torchode": torchode.__version__}
    versions |= {"diffrax": diffrax.__version__, "jax": jax.__version__}
    write_results(arguments.out, records, seed=seed, rtol=RTOL, atol=ATOL, peers=versions)


if __name__ == "__main__":
    main()
