"""A filter bank for scans as nilearn has such things: fit, transform; images in, images or rows out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch

from sigconv import filters, nd, words
from sigconv.filters import FilterBank, _pools
from sigconv.readers import nifti

try:
    from sklearn.base import BaseEstimator, TransformerMixin
    from sklearn.utils.validation import check_is_fitted
except ImportError:
    raise ImportError("NiftiFilterBank needs scikit-learn: pip install 'sigconv[sklearn]'") from None

NDIM = 3
OFF = 1e-3  # mm that a mask's affine may be off the scan's


class NiftiFilterBank(TransformerMixin, BaseEstimator):
    """Responses of a bank to scans, as maps or as one row of pooled features a scan.

    bank          a word that filters.build knows, made for each scan's rates (per mm), or a 3-D FilterBank as it is
    output        "magnitude" and so on, stride (one number or three), padding_mode: the bank's
    pool          None: maps; one or more of mean, std, max, rms, energy and q00 to q100: a row of them over space
    mask          a scan (a path, too) of the scans' shape and place: rows are taken where it is not 0, at the same
                  voxels with a stride; maps are 0 elsewhere
    memory        what computing may take beside what it holds, a number or "2 GB"

    transform takes a path, a Volume, or an image with an affine (nibabel's), or a list of these. A time axis, and
    colours, are channels. It gives a Volume (positions, then channels·filters; float32 or complex64; the affine times
    the stride) for one scan and a list of them for a list; with pool (n, pools·channels·filters) float32 whatever came,
    its columns by name from get_feature_names_out, or a frame after set_output(transform="pandas").

    Nothing is learned but how many channels there are, and the columns' names. The numbers are those of bank(x) and of
    sigconv extract. Raises ValueError for what is no scan, for another number of channels than when fitted, and for a
    mask that is empty, or of another shape or place.

    >>> scan = nifti.Volume(np.random.default_rng(0).normal(size=(12, 10, 8)), np.diag([1.0, 1, 2, 1]), {})
    >>> maps = NiftiFilterBank("gaussian.bank:sigma=1", stride=2).fit_transform(scan)
    >>> maps.data.shape, maps.affine.diagonal()
    ((6, 5, 4, 1), array([2., 2., 4., 1.]))
    >>> NiftiFilterBank("gaussian.bank:sigma=1", pool=["mean", "q50"]).fit_transform([scan, scan]).shape
    (2, 2)
    """

    def __init__(
        self,
        bank: Any = "gabor",
        *,
        output: str = "magnitude",
        stride: Any = 1,
        padding_mode: Any = "symmetric",
        pool: str | Sequence[str] | None = None,
        mask: Any = None,
        memory: Any = None,
    ) -> None:
        self.bank = bank
        self.output = output
        self.stride = stride
        self.padding_mode = padding_mode
        self.pool = pool
        self.mask = mask
        self.memory = memory

    def fit(self, imgs: Any, y: Any = None) -> Self:
        """Look at the first scan: its channels, and the bank its rates make."""
        del y
        if self.pool is not None:
            _pools.named(self.pool)
        nd.ntuple(self.stride, NDIM, "stride")
        scans, _ = _listed(imgs)
        first = nifti.volume_of(scans[0])
        self.n_channels_ = len(_channels(first))
        self.bank_ = self._bank(first)
        self.mask_ = None if self.mask is None else nifti.volume_of(self.mask)
        return self

    def fit_transform(self, imgs: Any, y: Any = None) -> Any:
        """fit, then transform, of scans that may come once only, as from a generator."""
        scans, several = _listed(imgs)
        given = scans if several else scans[0]
        return self.fit(given, y).transform(given)

    def transform(self, imgs: Any) -> Any:
        """Maps, a Volume for each scan; with pool one row of features for each."""
        check_is_fitted(self)
        scans, several = _listed(imgs)
        found = [self._one(nifti.volume_of(scan)) for scan in scans]
        if self.pool is not None:
            return np.stack(found)
        return found if several else found[0]

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """The name of every column, {pool}_{filter} with the channel between where there are several; of every map."""
        del input_features
        check_is_fitted(self)
        pools = [] if self.pool is None else _pools.named(self.pool)
        return np.array(words.columns(pools, self.n_channels_, self.bank_.names), dtype=object)

    def _bank(self, volume: nifti.Volume) -> FilterBank:
        bank = self.bank
        if isinstance(bank, str):
            bank = filters.build(bank, ndim=NDIM, fs=(*nifti.rates(volume), 1.0, 1.0)[:NDIM])
        if not isinstance(bank, FilterBank) or bank.ndim != NDIM:
            raise ValueError(f"bank {bank!r} is no FilterBank of {NDIM} axes, nor the name of one")
        return bank

    def _one(self, volume: nifti.Volume) -> Any:
        x, bank = _channels(volume), self._bank(volume)
        if len(x) != self.n_channels_:
            raise ValueError(
                f"the scan of shape {volume.data.shape} has {len(x)} channels, {self.n_channels_} when fitted"
            )
        if len(bank) != len(self.bank_):
            raise ValueError(
                f"bank {self.bank!r} has {len(bank)} filters at this scan's rates, {len(self.bank_)} when fitted"
            )
        steps = nd.ntuple(self.stride, NDIM, "stride")
        inside = None if self.mask_ is None else _inside(self.mask_, volume)[tuple(slice(None, None, s) for s in steps)]
        if inside is not None and not inside.any():
            raise ValueError("mask is empty at the positions that are kept: there is nothing to take features of")
        y = self._responses(bank, x)
        if self.pool is None:
            return _placed(y if inside is None else np.where(inside, y, 0), volume, steps)
        rows = torch.from_numpy(y.reshape(len(y), -1) if inside is None else y[:, inside])
        return _pools.pooled(_pools.named(self.pool), rows).numpy().reshape(-1)

    def _responses(self, bank: FilterBank, x: np.ndarray) -> np.ndarray:
        """(channels·filters, *positions): in tiles, or whole of a bank made in frequency, which sees all."""
        options = {"output": self.output, "stride": self.stride, "padding_mode": self.padding_mode}
        with torch.no_grad():
            if bank.kernel_size is None:
                return np.asarray(bank(x[None], **options, memory=self.memory)[0])
            from sigconv import tiles

            return np.asarray(tiles.apply(bank, x, memory=self.memory, **options))


def _listed(imgs: Any) -> tuple[list[Any], bool]:
    """Scans, and whether several were given."""
    if isinstance(imgs, str | os.PathLike | nifti.Volume) or hasattr(imgs, "affine"):
        return [imgs], False
    scans = list(imgs)
    if not scans:
        raise ValueError("imgs is empty: expected a scan or a list of scans")
    return scans, True


def _channels(volume: nifti.Volume) -> np.ndarray:
    """(channels, x, y, z) float32 or complex64: what is past the third axis are channels."""
    data = volume.data.reshape(*volume.data.shape, *[1] * (NDIM - volume.data.ndim))
    first = np.moveaxis(data, range(NDIM, data.ndim), range(data.ndim - NDIM)).reshape(-1, *data.shape[:NDIM])
    return np.ascontiguousarray(first, np.complex64 if data.dtype.kind == "c" else np.float32)


def _inside(mask: nifti.Volume, volume: nifti.Volume) -> np.ndarray:
    """Where a mask that belongs to this scan is not 0."""
    shape = (*volume.data.shape, 1, 1)[:NDIM]
    if mask.data.shape[:NDIM] != volume.data.shape[:NDIM] or mask.data.size != np.prod(shape):
        raise ValueError(f"mask has shape {mask.data.shape}, and the scan {volume.data.shape}: resample it first")
    if not np.allclose(mask.affine, volume.affine, atol=OFF):
        raise ValueError("mask lies elsewhere than the scan, by its affine: resample it first")
    if not np.isfinite(mask.data).all():
        raise ValueError("mask holds what is no number: expected 0 outside, anything else inside")
    return np.asarray(mask.data.reshape(shape) != 0)


def _placed(y: np.ndarray, volume: nifti.Volume, steps: tuple[int, ...]) -> nifti.Volume:
    """Maps as a scan: filters last, every position where its voxel was."""
    affine = nifti.strided(volume.affine, steps)
    space, _ = volume.meta.get("units", ("mm", "sec"))
    meta = {**volume.meta, "channels": "", "intent": (0, 0.0, 0.0, 0.0), "intent_name": "", "dtype": str(y.dtype)}
    meta |= {"spacing": (*(float(n) for n in nifti.spacing(affine)), 1.0), "units": (space, "unknown")}
    return nifti.Volume(np.moveaxis(y, 0, -1), affine, meta)
