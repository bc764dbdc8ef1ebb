"""`deeponet_from_deepxde`: a `DeepONet` with weights that the deepxde package trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from opnet.models.deeponet import DeepONet


def deeponet_from_deepxde(
    state: Mapping[str, Tensor],
    sensors: Sequence[int],
    *,
    activation: str,
    outputs: str = "split_both",
    sensor_nodes: str | Sequence[str] = "cell",
) -> DeepONet:
    """The `DeepONet` that answers as deepxde's `DeepONet` or `DeepONetCartesianProd` (PyTorch) with these weights.

    Widths and numbers of channels are read off the weights. deepxde knows only the vector of sensor values and the
    trunk's coordinates: it must have been given the values channel after channel, each in the order of the sensors'
    grid, and coordinates of the unit box.

    Args:
        state: `net.state_dict()` of branch and trunk made of fully connected layers.
        sensors, sensor_nodes: the grid that the sensors are; see `DeepONet`.
        activation: deepxde's, the same in branch and trunk.
        outputs: deepxde's `multi_output_strategy`; any, for a single output.

    Raises:
        ValueError: for names or shapes that are not those of such a network.

    >>> from torch import nn
    >>> layers = lambda *sizes: nn.ModuleDict({"linears": nn.ModuleList(map(nn.Linear, sizes[:-1], sizes[1:]))})
    >>> net = nn.ModuleDict({"branch": layers(100, 40, 40), "trunk": layers(1, 40, 40)})
    >>> state = {**net.state_dict(), "b.0": torch.zeros(())}
    >>> deeponet_from_deepxde(state, (100,), activation="relu")(torch.zeros(2, 1, 100)).shape
    torch.Size([2, 1, 100])
    """
    state = dict(state)
    channels = sum(name.startswith("b.") for name in state)
    if channels < 1:
        raise ValueError(f"state: expected the biases 'b.0', ..., found only {_names(state)}")
    bias = torch.stack([_take(state, f"b.{k}").reshape(()) for k in range(channels)])
    copies = channels if outputs == "independent" else 1
    nets = {part: [_layers(state, _prefix(part, state, i)) for i in range(copies)] for part in ("branch", "trunk")}
    if state:
        raise ValueError(f"state: expected weights of branch and trunk alone, found also {_names(state)}")
    entries, points = nets["branch"][0][0].shape[1], nets["trunk"][0][0].shape[1]
    count = int(torch.tensor(list(sensors)).prod())
    if entries % count or points != len(tuple(sensors)):
        raise ValueError(
            f"sensors: expected {points} axes and a divisor of {entries} sensors, as the weights have, found "
            f"{tuple(sensors)}"
        )
    shares = {"split_both": (channels, channels), "split_branch": (channels, 1), "split_trunk": (1, channels)}
    widths = [
        [weight.shape[0] for weight in nets[part][0][:-2:2]] + [nets[part][0][-2].shape[0] // share]
        for part, share in zip(("branch", "trunk"), shares.get(outputs, (1, 1)), strict=True)
    ]
    model = DeepONet(
        entries // count,
        channels,
        sensors,
        *widths,
        outputs=outputs,
        activation=activation,
        sensor_nodes=sensor_nodes,
    ).to(bias.dtype)
    with torch.no_grad():
        assert model.bias is not None
        model.bias.copy_(bias)
        for part, networks in (("branch", model.branch), ("trunk", model.trunk)):
            for network, weights in zip(networks, nets[part], strict=True):
                for parameter, weight in zip(network.parameters(), weights, strict=True):
                    if parameter.shape != weight.shape:
                        raise ValueError(
                            f"state: expected {part} weights {tuple(parameter.shape)} for outputs={outputs!r}, found "
                            f"{tuple(weight.shape)}"
                        )
                    parameter.copy_(weight)
    return model


def _prefix(part: str, state: Mapping[str, Tensor], i: int) -> str:
    """Of the i-th network of a part; a single one has no number."""
    return f"{part}.{i}" if any(name.startswith(f"{part}.{i}.linears") for name in state) else part


def _layers(state: dict[str, Tensor], prefix: str) -> list[Tensor]:
    """Weights and biases in turn, taken out of `state`."""
    count = sum(name.startswith(f"{prefix}.linears.") and name.endswith(".weight") for name in state)
    if count < 1:
        raise ValueError(f"state: expected fully connected layers '{prefix}.linears.0.weight', ..., found none")
    return [_take(state, f"{prefix}.linears.{i}.{kind}") for i in range(count) for kind in ("weight", "bias")]


def _take(state: dict[str, Tensor], name: str) -> Tensor:
    if name not in state:
        raise ValueError(f"state: expected an entry {name!r}, found {_names(state)}")
    return state.pop(name)


def _names(state: Mapping[str, Tensor]) -> str:
    return ", ".join(sorted(state)[:6]) or "none"
