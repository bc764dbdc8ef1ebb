"""A training step of MgNO, both forms, against the published structure in plain PyTorch, one thread.

    python benchmarks/speed/mgno.py --quick --out mgno.json

128 x 128 nodes, batch 8, width 24, 5 layers, 6 levels; a step as in models.py. Without their transfers' convolutions
the aligned form does less work than the published one, which both others do alike: their outputs are compared first,
with the same weights. The aligned form runs on cells and on closed grids (129 x 129, the same intervals).

Gate: `speedup_vs_plain` of the aligned form on either grid at least 1.5.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from models import in_turn, training_step
from plain_mgno import PlainMgNO
from torch import Tensor

from opnet.evaluation.records import Record, record, write_results
from opnet.models.mgno import MgNO
from opnet.spaces.grid import Grid

N, BATCH, WIDTH, LAYERS, LEVELS = 128, 8, 24, 5, 6
PLAIN, PUBLISHED, CELLS, CLOSED = "plain", "opnet published", "opnet aligned, cells", "opnet aligned, closed"


def same_weights(model: MgNO, plain: PlainMgNO) -> None:
    """Give the published form the weights of the plain one."""
    own = model.state_dict()
    for name, weight in plain.state_dict().items():
        own[_name(name)].copy_(weight.reshape(own[_name(name)].shape))


def _name(name: str) -> str:
    """What the published form calls a weight of the plain one: its levels count from the coarsest."""
    parts = name.split(".")
    if parts[0] != "cycles":
        return name
    layer, kind, *rest = parts[1:]
    if kind == "first":
        return f"cycles.{layer}.pre.{LEVELS - 1}.S.0.weight"
    level = LEVELS - 2 - int(rest[0])
    if kind in ("S", "A"):
        return f"cycles.{layer}.pre.{level}.{kind}.{rest[1]}.weight"
    return (
        f"cycles.{layer}.transfers.{level}."
        + {
            "restrict_u": "Pi.weight",
            "restrict_f": "R.weight",
            "prolong": "P",
        }[kind]
    )


def rows(repeats: int, seed: int) -> list[Record]:
    torch.manual_seed(seed)
    inputs, targets = torch.randn(2, BATCH, 1, N, N)
    plain, published = PlainMgNO(WIDTH, LAYERS, LEVELS), MgNO(1, 1, WIDTH, LAYERS, LEVELS, form="published")
    same_weights(published, plain)
    with torch.no_grad():
        difference = float((published(inputs) - plain(inputs)).norm() / plain(inputs).norm())
    aligned = [MgNO(1, 1, WIDTH, LAYERS, LEVELS, coarsest=N >> (LEVELS - 1)) for _ in range(2)]
    closed = Grid((N + 1, N + 1))
    more = torch.randn(2, BATCH, 1, *closed.shape)
    steps = {
        PLAIN: training_step(plain, inputs, targets),
        PUBLISHED: training_step(published, inputs, targets),
        CELLS: training_step(aligned[0], inputs, targets),
        CLOSED: training_step(_On(aligned[1], closed), *more),
    }
    times = in_turn(steps, repeats)
    records = [record("difference_from_plain", difference, unit="1", model=PUBLISHED)]
    records += [record("seconds", times[model], unit="s", model=model) for model in steps]
    records += [record("speedup_vs_plain", times[PLAIN] / times[model], unit="1", model=model) for model in steps]
    for model in steps:
        print(f"{model}: {1e3 * times[model]:.0f} ms, {times[PLAIN] / times[model]:.2f} x", flush=True)
    print(f"published form with the plain one's weights: relative difference {difference:.1e}")
    return records


class _On(torch.nn.Module):
    """A model asked on one grid."""

    def __init__(self, model: MgNO, grid: Grid) -> None:
        super().__init__()
        self.model, self.grid = model, grid

    def forward(self, inputs: Tensor) -> Tensor:
        return self.model(inputs, self.grid)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="5 repeats instead of 15")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    write_results(arguments.out, rows(5 if arguments.quick else 15, arguments.seed), seed=arguments.seed)


if __name__ == "__main__":
    main()
