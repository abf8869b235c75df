"""A bank as a scikit-learn transformer: signals in, one row of pooled responses each out, every column with a name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch

from sigconv import nd, words
from sigconv.filters import _pools

try:
    from sklearn.base import BaseEstimator, TransformerMixin
    from sklearn.utils.validation import check_is_fitted
except ImportError:
    raise ImportError("bank.transformer() needs scikit-learn: pip install 'sigconv[sklearn]'") from None


class FilterBankTransformer(TransformerMixin, BaseEstimator):
    """Pooled responses of a bank: (n, *space) or (n, channels, *space) -> (n, pools·channels·filters), float.

    output, stride and padding_mode are the bank's; pool is one or more of mean, std, max, rms, energy (the mean of
    squares) and quantiles (q00 to q100) over space; batch_size signals are filtered at a time. Nothing is learned from
    the data but their number of channels. Columns are named {pool}_{filter}, with the channel before the filter where
    there are several; set_output(transform="pandas") makes them a frame's.

    >>> from sigconv.filters import gabor
    >>> features = gabor.default(2).transformer(pool="mean")
    >>> features.fit_transform(np.zeros((3, 16, 16))).shape
    (3, 8)
    >>> str(features.get_feature_names_out()[0])
    'mean_4_d0'
    """

    def __init__(
        self,
        bank: Any,
        *,
        output: str = "magnitude",
        pool: str | Sequence[str] = ("mean", "std"),
        stride: Any = 1,
        padding_mode: Any = "symmetric",
        batch_size: int = 16,
    ) -> None:
        self.bank = bank
        self.output = output
        self.pool = pool
        self.stride = stride
        self.padding_mode = padding_mode
        self.batch_size = batch_size

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: N803  scikit-learn's name
        """Count the channels."""
        del y
        _pools.named(self.pool)
        nd.count(self.batch_size, "batch_size")
        self.n_channels_ = self._rows(X).shape[1]
        return self

    def transform(self, X: Any) -> np.ndarray:  # noqa: N803
        """One row of features for every signal."""
        check_is_fitted(self)
        rows = self._rows(X)
        if rows.shape[1] != self.n_channels_:
            raise ValueError(f"X has {rows.shape[1]} channels, and {self.n_channels_} when fitted")
        pools, found = _pools.named(self.pool), []
        with torch.no_grad():
            for first in range(0, len(rows), self.batch_size):
                batch = rows[first : first + self.batch_size]
                y = self.bank(batch, output=self.output, stride=self.stride, padding_mode=self.padding_mode).flatten(2)
                found.append(_pools.pooled(pools, y).movedim(0, 1).flatten(1))
        return torch.cat(found).cpu().numpy() if found else np.zeros((0, len(self.get_feature_names_out())))

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """The name of every column."""
        del input_features
        check_is_fitted(self)
        return np.array(words.columns(_pools.named(self.pool), self.n_channels_, self.bank.names), dtype=object)

    def _rows(self, X: Any) -> torch.Tensor:  # noqa: N803
        """(n, channels, *space) floating, on the bank's device."""
        rows = torch.as_tensor(np.asarray(X) if not isinstance(X, torch.Tensor) else X)
        if rows.ndim == self.bank.ndim + 1:
            rows = rows.unsqueeze(1)
        if rows.ndim != self.bank.ndim + 2:
            raise ValueError(
                f"X has shape {tuple(rows.shape)}: expected (n, *space) or (n, channels, *space) with "
                f"{self.bank.ndim} axes of space"
            )
        plain = rows.is_floating_point() or rows.is_complex()
        return rows.to(self.bank.device, rows.dtype if plain else torch.float32)
