"""Norms and inner products of batch elements: the trailing dimensions of a field are one vector of an operator."""

from __future__ import annotations

import torch
from torch import Tensor

from opnet.linops.base import LinearOperator


def norms(x: Tensor, A: LinearOperator) -> Tensor:
    """Euclidean norm of every batch element, real.  # shape: (*batch, *in_shape) -> (*batch)"""
    return torch.linalg.vector_norm(flat(x, A), dim=-1)


def dots(x: Tensor, y: Tensor, A: LinearOperator) -> Tensor:
    """<x, y> = x^H y of every batch element.  # shape: two of (*batch, *in_shape) -> (*batch)"""
    return torch.linalg.vecdot(flat(x, A), flat(y, A))


def flat(x: Tensor, A: LinearOperator) -> Tensor:
    """Every batch element as a vector.  # shape: (*batch, *in_shape) -> (*batch, n)"""
    return x.flatten(x.ndim - len(A.in_shape))


def spread(value: Tensor, A: LinearOperator) -> Tensor:
    """A number for each batch element, shaped to multiply the elements."""
    return value.reshape(*value.shape, *(1,) * len(A.in_shape))


def divisor(value: Tensor) -> Tensor:
    """`value` with ones for zeros."""
    return torch.where(value == 0, torch.ones_like(value), value)
