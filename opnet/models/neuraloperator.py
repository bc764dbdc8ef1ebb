"""`from_neuraloperator`: a model of opnet from the weights of neuraloperator's FNO or TFNO."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from opnet.core.expect import found
from opnet.models.neuraloperator_fno import NeuralOperatorFNO

_DEFAULTS: dict[str, Any] = {
    "n_layers": 4,
    "lifting_channel_ratio": 2,
    "projection_channel_ratio": 2,
    "positional_embedding": "grid",
    "use_channel_mlp": True,
    "channel_mlp_expansion": 0.5,
    "channel_mlp_skip": "soft-gating",
    "fno_skip": "linear",
    "domain_padding": None,
}
"""neuraloperator's own, of the arguments that decide the architecture."""
_REQUIRED = ("n_modes", "in_channels", "out_channels", "hidden_channels")
_ORDER = (*_REQUIRED, "n_layers", "lifting_channel_ratio", "projection_channel_ratio", "positional_embedding")
_ONLY: dict[str, Any] = {
    "norm": None,
    "complex_data": False,
    "channel_mlp_dropout": 0,
    "resolution_scaling_factor": None,
    "fno_block_precision": "full",
    "stabilizer": None,
    "separable": False,
    "preactivation": False,
    "non_linearity": "gelu",
    "conv_module": "SpectralConv",
}
"""Arguments of which one value is known here; functions and classes by their name."""
_SEEN_IN_THE_WEIGHTS = ("factorization", "rank", "fixed_rank_modes", "implementation", "decomposition_kwargs")
_BOOKKEEPING = ("_version", "_name", "args")
_NAMES = (
    (r"(lifting|projection)\.(\d\.(?:weight|bias))", r"\1.\2"),
    (r"fno_blocks\.channel_mlp\.(\d+\.\d\.(?:weight|bias))", r"mlps.\1"),
    (r"fno_blocks\.convs\.(\d+\.bias)", r"skips.\1"),
    (r"fno_blocks\.fno_skips\.(\d+)\.(?:conv\.)?weight", r"skips.\1.weight"),
    (r"fno_blocks\.channel_mlp_skips\.(\d+)\.(?:conv\.)?weight", r"mlp_skips.\1.weight"),
)
_SPECTRAL = re.compile(r"fno_blocks\.convs\.(\d+)\.weight\.(.+)")


def from_neuraloperator(state_dict: Mapping[str, Any], config: Mapping[str, Any] | None = None) -> NeuralOperatorFNO:
    """The model with the outputs of neuraloperator 2.0's `FNO` or `TFNO` that has these weights.

    Dense, Tucker, CP and tensor-train weights, channel MLPs, all skips, grid embedding and domain padding are known;
    anything else is refused by name. Factors stay factors; CP's weights are multiplied into its first one. What the
    outputs agree on, and where neuraloperator's own are displaced (odd numbers of nodes), `NeuralOperatorFNO` says.

    Args:
        state_dict: the model's, such as `torch.load(path, weights_only=True)` reads it. neuraloperator puts its
            arguments in as "_metadata", functions and classes included, which that does not read: take the entry out
            before saving.
        config: the arguments the model was made with, as plain data; by default the "_metadata".

    Raises:
        ValueError: for an argument or a weight that is not known here, and weights that do not fit the arguments.

    >>> from_neuraloperator({}, {"n_modes": (8, 8), "in_channels": 1, "out_channels": 1, "hidden_channels": 8,
    ...     "norm": "group_norm"})
    Traceback (most recent call last):
    ValueError: config: norm: expected None, all that is known of neuraloperator's here, found 'group_norm'
    """
    config = state_dict.get("_metadata") if config is None else config
    if not isinstance(config, Mapping):
        raise ValueError(f"config: expected the model's arguments, found {found(config)}")
    options = _options(config)
    weights, factorisation, rank = _converted({k: v for k, v in state_dict.items() if k != "_metadata"})
    model = NeuralOperatorFNO(**options, factorisation=factorisation, rank=rank)
    dtype = next((value.dtype for value in weights.values()), torch.float32)
    try:
        model.to(dtype).load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"state_dict: expected the weights of the model in config, found others: {error}") from error
    return model


def _options(config: Mapping[str, Any]) -> dict[str, Any]:
    """`NeuralOperatorFNO`'s arguments from neuraloperator's."""
    positional = tuple(config.get("args", ()))
    if len(positional) > len(_ORDER):
        raise ValueError(f"config: expected at most {', '.join(_ORDER)} by position, found {len(positional)} arguments")
    given = {**config, **dict(zip(_ORDER, positional, strict=False))}
    known = {*_DEFAULTS, *_REQUIRED, *_ONLY, *_SEEN_IN_THE_WEIGHTS, *_BOOKKEEPING, "max_n_modes"}
    if unknown := sorted(set(given) - known):
        raise ValueError(f"config: expected arguments of neuraloperator 2.0's FNO, found {', '.join(unknown)}")
    if missing := [name for name in _REQUIRED if name not in given]:
        raise ValueError(f"config: expected {', '.join(_REQUIRED)}, found no {', '.join(missing)}")
    for name, only in _ONLY.items():
        value = given.get(name, only)
        if getattr(value, "__name__", value) != only:
            raise ValueError(
                f"config: {name}: expected {only!r}, all that is known of neuraloperator's here, found {value!r}"
            )
    if given.get("max_n_modes") not in (None, given["n_modes"]):
        raise ValueError(f"config: max_n_modes: expected None or n_modes, found {given['max_n_modes']!r}")
    given = {**_DEFAULTS, **given}
    if given["positional_embedding"] not in ("grid", None):
        raise ValueError(
            f"config: positional_embedding: expected 'grid' or None, found {found(given['positional_embedding'])}"
        )
    width = given["hidden_channels"]
    return {
        "in_channels": given["in_channels"],
        "out_channels": given["out_channels"],
        "n_modes": given["n_modes"],
        "width": width,
        "layers": given["n_layers"],
        "lifting_width": int(given["lifting_channel_ratio"] * width),
        "projection_width": int(given["projection_channel_ratio"] * width),
        "skip": given["fno_skip"],
        "mlp_width": round(width * given["channel_mlp_expansion"]) if given["use_channel_mlp"] else 0,
        "mlp_skip": given["channel_mlp_skip"],
        "positions": given["positional_embedding"] is not None,
        "padding": given["domain_padding"] or 0.0,
    }


def _converted(tensors: Mapping[str, Any]) -> tuple[dict[str, Tensor], str | None, Any]:
    """The weights under their names here, and the factorisation and rank of the spectral ones."""
    weights: dict[str, Tensor] = {}
    layers: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if not isinstance(value, Tensor):
            raise ValueError(f"state_dict: {name}: expected a tensor, found {found(value)}")
        if match := _SPECTRAL.fullmatch(name):
            if not value.is_complex():
                raise ValueError(f"state_dict: {name}: expected complex weights, found {value.dtype}")
            layers.setdefault(match[1], {})[match[2]] = value
        else:  # the 1x1 convolutions are matrices here, and what has one number a channel is a vector
            is_matrix = name.endswith("conv.weight") or ("fcs" in name and name.endswith("weight"))
            weights[_name(name)] = value.flatten(1) if is_matrix else value.flatten()
    factorisation, rank = None, 0.1
    for layer, parts in layers.items():
        factorisation, rank, made = _spectral(parts)
        weights |= {f"spectral.{layer}.weight.{name}": torch.view_as_real(value) for name, value in made.items()}
    return weights, factorisation, rank


def _name(name: str) -> str:
    # Its layers of an MLP are numbered one after the other; here the activations between are counted.
    numbered = re.sub(r"fcs\.(\d)", lambda match: str(2 * int(match[1])), name)
    for pattern, form in _NAMES:
        if match := re.fullmatch(pattern, numbered):
            return match.expand(form)
    raise ValueError(f"state_dict: expected weights of neuraloperator 2.0's FNO or TFNO, found {name!r}")


def _spectral(parts: dict[str, Tensor]) -> tuple[str | None, Any, dict[str, Tensor]]:
    """Factorisation, rank and parameters of a `HalfSpectrumWeight`."""
    if "tensor" in parts:
        return None, 0.1, {"dense": parts["tensor"]}
    factors = [parts[name] for name in sorted(parts) if name.startswith("factors.")]
    if not factors:
        raise ValueError(f"state_dict: expected dense or factorised spectral weights, found {', '.join(parts)}")
    if "core" in parts:
        kind, rank, factors = "tucker", tuple(parts["core"].shape), [parts["core"], *factors]
    elif "weights" in parts:
        kind, rank, factors = "cp", (len(parts["weights"]),), [parts["weights"] * factors[0], *factors[1:]]
    else:
        kind, rank = "tt", tuple(factor.shape[-1] for factor in factors[:-1])
    return kind, rank, {f"factorised.factors.{i}": factor for i, factor in enumerate(factors)}
