"""Functions that mix all positions and multiply: recurrence, attention, contractions."""

from __future__ import annotations

import math
from collections.abc import Callable

from sigconv.summary._calls import Call
from sigconv.summary._rules import Found, everything


def mixes(call: Call) -> Found:
    """Every position sees all; what it costs is in COSTS."""
    seen, _ = everything(call)
    return (None if seen is None else seen._replace(depth=seen.depth + 1)), COSTS[call.name](call)


def _recurrent(call: Call) -> int:
    """Every matrix meets every position once."""
    return call.x.numel() // call.x.shape[-1] * sum(w.numel() for w in call.tensors if w.ndim == 2)


def _attention(call: Call) -> int:
    """Queries (length, batch, features) and what they ask: a projection of each, two products over all pairs."""
    query, key, value = call.args[:3]
    rows = [x.numel() // x.shape[-1] for x in (query, key, value, query)]
    width = query.shape[-1]
    return sum(rows) * width * width + 2 * rows[0] * key.shape[0] * width


def _pairs(call: Call) -> int:
    """Queries times keys, and that times values, over all pairs: (…, length, features)."""
    query, key, value = call.args[:3]
    return query.numel() * key.shape[-2] + query.numel() // query.shape[-1] * key.shape[-2] * value.shape[-1]


def _encoder(call: Call) -> int:
    """torch's own way through a whole layer: its matrices at every position, and all pairs of positions."""
    return _recurrent(call) + 2 * call.x.numel() * call.x.shape[-2]


def _letters(call: Call) -> int:
    """An einsum written with letters: every combination of them, for every pair of factors that is multiplied."""
    terms = str(call.args[0]).replace(" ", "").partition("->")[0].split(",")
    if len(terms) != len(call.tensors) or "." in str(call.args[0]):
        return 0
    sizes = {letter: n for term, x in zip(terms, call.tensors, strict=True) for letter, n in zip(term, x.shape)}  # noqa: B905
    return math.prod(sizes.values()) * (len(terms) - 1)


def _contracted(call: Call) -> int:
    """(m k)(k n)(m n) is the square of what is asked."""
    return math.isqrt(call.answer.numel() * math.prod(x.numel() for x in call.tensors[:2]))


COSTS: dict[str, Callable[[Call], int]] = {
    **dict.fromkeys(("lstm", "gru", "rnn_tanh", "rnn_relu"), _recurrent),
    **dict.fromkeys(("_transformer_encoder_layer_fwd", "_native_multi_head_attention"), _encoder),
    "multi_head_attention_forward": _attention,
    "scaled_dot_product_attention": _pairs,
    "einsum": _letters,
    "tensordot": _contracted,
    "bilinear": lambda call: call.answer.numel() * call.x.shape[-1] * call.tensors[1].shape[-1],
}
