"""Adjoints of `solve_ode`: memory, evaluations, and how far gradients are from those of `Direct`.

    python benchmarks/accuracy/ode_adjoints.py --out ode_adjoints.json

128 samples of a neural ODE (64-128-64 tanh, double precision) in 512 steps of RK4, and by Dopri5 at rtol 1e-8; each
adjoint in a process of its own, whose largest resident memory is read. Differences are relative to the largest entry of
the gradient, over y0, times and parameters.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

import opnet
from opnet.evaluation.records import Record, record, write_results

ADJOINTS = {
    "Direct": opnet.Direct(),
    "Checkpointed": opnet.Checkpointed(),
    "Checkpointed(64)": opnet.Checkpointed(64),
    "Checkpointed(1024)": opnet.Checkpointed(1024),
    "Backsolve": opnet.Backsolve(),
    "Interpolated": opnet.Interpolated(),
}
CASES = ("RK4", "Dopri5")


def gradients(case: str, adjoint: str, steps: int, seed: int) -> tuple[list[Tensor], int, int, float]:
    """Of y0, ts and all parameters; evaluations forward and in all; MB of memory that it took."""
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(64, 128), nn.Tanh(), nn.Linear(128, 64)).double()
    y0 = torch.randn(128, 64, dtype=torch.float64, requires_grad=True)
    ts = torch.tensor([0.0, 1.0, 3.0], dtype=torch.float64, requires_grad=True)
    count = 0

    def f(t: Tensor, y: Tensor) -> Tensor:
        nonlocal count
        count += 1
        return network(y)

    method, options = (opnet.RK4(), {"step": 3 / steps}) if case == "RK4" else (opnet.Dopri5(), {"rtol": 1e-8})
    control = opnet.PID(joint=True)
    opnet.solve_ode(f, y0, ts[:2], opnet.RK4(), adjoint=ADJOINTS[adjoint]).ys.sum().backward()  # what loads once
    before, count = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, 0
    wanted = [y0, ts, *network.parameters()]
    ys = opnet.solve_ode(f, y0, ts, method, adjoint=ADJOINTS[adjoint], control=control, atol=1e-10, **options).ys
    forward = count
    found = torch.autograd.grad(ys[1:].square().mean(), wanted)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return list(found), forward, count - forward, (after - before) / 1024


def measure(case: str, adjoint: str, steps: int, seed: int) -> dict[str, float]:
    found, forward, backward, memory = gradients(case, adjoint, steps, seed)
    truth = gradients(case, "Direct", steps, seed)[0]
    difference = max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(found, truth, strict=True))
    return {"evaluations": forward, "backward_evaluations": backward, "memory": memory, "difference": difference}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="64 steps of RK4 in place of 512")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--one", nargs=2, metavar=("CASE", "ADJOINT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    steps = 64 if arguments.quick else 512
    if arguments.one:
        print(json.dumps(measure(*arguments.one, steps, arguments.seed)))
        return
    records: list[Record] = []
    units = {"memory": "MB"}
    for case in CASES:
        for adjoint in ADJOINTS:
            options = ["--out", str(arguments.out), "--seed", str(arguments.seed), *["--quick"] * arguments.quick]
            command = [sys.executable, __file__, *options, "--one", case, adjoint]
            found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            print(case, adjoint, found, flush=True)
            records += [
                record(name, value, case=case, model=adjoint, unit=units.get(name, "1"))
                for name, value in found.items()
            ]
    write_results(arguments.out, records, seed=arguments.seed)


if __name__ == "__main__":
    main()
