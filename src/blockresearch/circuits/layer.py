"""The attention of one layer as matrices that are ready to be combined.

The norm before attention is folded into q, k and v, and biases stand apart, so that for an input x
of the residual stream (normalized, but not scaled) head h computes q[h] x + q_bias[h], and writes
o[h] (v[g] x + v_bias[g]) with g = kv_head(h).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from blockresearch.spectra.overlap import factored


@dataclass(frozen=True)
class Attention:
    """The heads of one attention block, float64.

    role           self or cross; a cross attention reads keys and values from another stack
    q, k           [heads, size, in] and [groups, size, in]
    v, o           [groups, size, in] and [heads, out, size]
    q_bias, k_bias, v_bias    [heads or groups, size], zeros without biases
    norm           name of the norm that is folded in; None if none is known
    is_normalized  queries or keys are normalized, so that their lengths mean nothing
    is_rescaled    the output is normalized before it is added, so that its length means nothing
    rotary         the two rows of q and k that each rotary frequency turns, fastest first,
                   int64 [frequencies, 2]; None if the config states no rotary positions
    """

    role: str
    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    o: np.ndarray
    q_bias: np.ndarray
    k_bias: np.ndarray
    v_bias: np.ndarray
    norm: str | None = None
    is_normalized: bool = False
    is_rescaled: bool = False
    rotary: np.ndarray | None = None

    @property
    def heads(self) -> int:
        """Query heads."""
        return len(self.q)

    @property
    def groups(self) -> int:
        """Key and value heads."""
        return len(self.k)

    def kv_head(self, head: int) -> int:
        """The key and value head of a query head."""
        return head * self.groups // self.heads

    @cached_property
    def factors(self) -> "Factors":
        """The factors of all heads, found once."""
        return Factors(self)


class Factors:
    """Factors of the heads of an attention block without biases, and what stands between them.

    q, k, v    W_Qᵀ, W_Kᵀ and W_Vᵀ of each head or group as Q R
    o          W_O of each head as Q R
    qk, ov     [size, size] of each head, between the bases of its two factors: W_Qᵀ W_K = Q qk Q'ᵀ
               and W_O W_V = Q ov Q'ᵀ, so that they have the same singular values
    """

    def __init__(self, attention: Attention):
        self.q, self.k, self.v = (
            [factored(rows.T) for rows in stack]
            for stack in (attention.q, attention.k, attention.v)
        )
        self.o = [factored(columns) for columns in attention.o]
        groups = [attention.kv_head(head) for head in range(attention.heads)]
        self.qk = [
            q.triangle @ self.k[group].triangle.T for q, group in zip(self.q, groups, strict=True)
        ]
        self.ov = [
            o.triangle @ self.v[group].triangle.T for o, group in zip(self.o, groups, strict=True)
        ]


@dataclass(frozen=True)
class Missing:
    """An attention block whose heads are not defined, with the reason."""

    role: str
    reason: str


@dataclass(frozen=True)
class Layer:
    """The attention blocks of one layer of a component."""

    component: str
    index: int
    attentions: tuple[Attention, ...]
    missing: tuple[Missing, ...] = ()
