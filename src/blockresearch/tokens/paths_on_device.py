"""The path of K-means of several samples at once on a GPU, by torch.

It is `clustering.path` with the steps of `lloyd`, but all samples go through each step together,
because the arithmetic of one is over before the next kernel starts; and every row is scored in
every step. Scores are products in float32, sums are in float64. Labels differ from those of the CPU
where float32's rounding decides, and Lloyd's iteration can carry that to another optimum.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from blockresearch.tokens.lloyd import NEGLIGIBLE, POWER_STEPS, STEPS
from blockresearch.tokens.on_device import place_of

if TYPE_CHECKING:
    import torch

# k, numbers [a] of the samples whose paths reach it, their labels [a, m] and centers [a, k, p].
Level = tuple[int, np.ndarray, np.ndarray, np.ndarray]


def paths(samples: np.ndarray, k_max: int, device: str, tolerance: float) -> Iterator[Level]:
    """Yield the levels of the paths of `samples` [s, m, p] (float32) for k from 1 to `k_max`.

    A path ends before `k_max` when nothing is left to split. A fit ends when the squared moves of
    the centers sum to `tolerance` times the mean variance of the sample.
    """
    import torch

    with torch.inference_mode():
        rows = torch.from_numpy(np.ascontiguousarray(samples)).to(place_of(device))
        own = torch.arange(len(rows))
        limits = tolerance * rows.var(dim=1, correction=0).mean(dim=1)
        labels = torch.zeros(rows.shape[:2], dtype=torch.int64, device=rows.device)
        centers = rows.mean(dim=1, keepdim=True)
        yield _level(own, labels, centers)
        for k in range(2, min(k_max, rows.shape[1]) + 1):
            start, can_split = _split(rows, labels, centers)
            start, rows, limits = start[can_split], rows[can_split], limits[can_split]
            own = own[can_split.cpu()]
            if not len(own):
                return
            labels, centers = _settle(rows, start, limits)
            is_full = (_sizes(labels, k) > 0).all(dim=1)
            labels, centers, rows = labels[is_full], centers[is_full], rows[is_full]
            limits, own = limits[is_full], own[is_full.cpu()]
            if not len(own):
                return
            yield _level(own, labels, centers)


def _level(own: "torch.Tensor", labels: "torch.Tensor", centers: "torch.Tensor") -> Level:
    found = labels.int().cpu().numpy(), centers.cpu().numpy()
    return centers.shape[1], own.numpy(), *found


def _members(labels: "torch.Tensor", k: int) -> "torch.Tensor":
    """Whether each row [a, m, k] is in each cluster, as float64."""
    import torch

    return torch.nn.functional.one_hot(labels, k).double()


def _sizes(labels: "torch.Tensor", k: int) -> "torch.Tensor":
    return _members(labels, k).sum(dim=1)


def _settle(
    rows: "torch.Tensor", centers: "torch.Tensor", limits: "torch.Tensor"
) -> "tuple[torch.Tensor, torch.Tensor]":
    """Labels [a, m] and means [a, k, p] of `rows` [a, m, p] by Lloyd's iteration from `centers`.

    As `lloyd.settle`, for each sample until its moves are at most its limit [a].
    """
    import torch

    k, wide = centers.shape[1], rows.double()
    labels = torch.full(rows.shape[:2], -1, dtype=torch.int64, device=rows.device)
    is_active = torch.ones(len(rows), dtype=torch.bool, device=rows.device)
    for _ in range(STEPS):
        half = (centers**2).sum(dim=2) / 2
        found = torch.baddbmm(-half[:, None], rows, centers.mT).argmax(dim=2)
        changes = (found != labels).any(dim=1)
        labels = torch.where(is_active[:, None], found, labels)
        sizes = _sizes(labels, k)
        if bool((sizes == 0).any()):
            _fill_empty(rows, labels, centers, sizes)
            sizes = _sizes(labels, k)
        # As a product the sums are the same in every run; scattered additions are not.
        means = (_members(labels, k).mT @ wide) / sizes.clamp(min=1)[:, :, None]
        moved = torch.where(sizes[:, :, None] > 0, means.float(), centers)
        lengths = ((moved - centers) ** 2).sum(dim=(1, 2))
        is_active &= changes
        centers = torch.where(is_active[:, None, None], moved, centers)
        is_active &= lengths > limits
        if not bool(is_active.any()):
            break
    return labels, centers


def _fill_empty(
    rows: "torch.Tensor", labels: "torch.Tensor", centers: "torch.Tensor", sizes: "torch.Tensor"
) -> None:
    """Give each cluster without rows the row farthest from its own center, if there is one."""
    for sample, cluster in (sizes == 0).nonzero().tolist():
        some, own = rows[sample], labels[sample]
        apart = ((some - centers[sample][own]) ** 2).sum(dim=1)
        apart -= NEGLIGIBLE**2 * (some**2).sum(dim=1)
        apart[sizes[sample][own] <= 1] = 0.0
        farthest = int(apart.argmax())
        if float(apart[farthest]) > 0:
            sizes[sample, own[farthest]] -= 1
            sizes[sample, cluster] = 1
            labels[sample, farthest] = cluster


def _split(
    rows: "torch.Tensor", labels: "torch.Tensor", centers: "torch.Tensor"
) -> "tuple[torch.Tensor, torch.Tensor]":
    """Centers [a, k + 1, p] with one cluster of each sample split, and whether it could be [a].

    As `lloyd.split` does: the cluster whose scatter matrix has the largest eigenvalue.
    """
    import torch

    k = centers.shape[1]
    numbers = torch.arange(len(rows), device=rows.device)
    apart = rows - centers.gather(1, labels[:, :, None].expand(-1, -1, rows.shape[2]))
    scatters = torch.stack(
        [
            (apart * (labels == cluster)[:, :, None]).mT.double() @ apart.double()
            for cluster in range(k)
        ],
        dim=1,
    )
    members = _members(labels, k)
    squares = (members.mT @ (rows.double() ** 2).sum(dim=2, keepdim=True))[:, :, 0]
    largest = scatters.diagonal(dim1=2, dim2=3).argmax(dim=2)
    vectors = scatters.gather(2, largest[:, :, None, None].expand(-1, -1, 1, rows.shape[2]))
    vectors, spreads = vectors.mT, squares
    for _ in range(POWER_STEPS):
        vectors = vectors / vectors.norm(dim=2, keepdim=True).clamp(min=1e-300)
        moved = scatters @ vectors
        spreads = (moved * vectors).sum(dim=(2, 3))
        vectors = moved
    spreads = torch.where(spreads <= squares * NEGLIGIBLE**2, 0.0, spreads)
    cluster = spreads.argmax(dim=1)
    values, axes = torch.linalg.eigh(scatters[numbers, cluster])
    sizes = members.sum(dim=1)[numbers, cluster]
    offset = axes[:, :, -1] * (values[:, -1:].clamp(min=0) / sizes[:, None]).sqrt()
    own = centers[numbers, cluster].double()
    start = torch.cat([centers, (own + offset).float()[:, None]], dim=1)
    start[numbers, cluster] = (own - offset).float()
    return start, spreads[numbers, cluster] > 0
