"""The products of tables of rows on a GPU, by torch: Gram matrix, coordinates, centers, neighbors.

Each function does what the function of the same name does on the CPU. A table stays on the device,
as stored, if half of the free memory can hold it; else its blocks go there in every pass.
Products are in float32 without reduced precision, sums in float64 over fixed blocks.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

    from blockresearch.tokens.vectors import Table

BLOCK_ROWS = 8_192


def place_of(device: str) -> "torch.device":
    """Torch's device for one of `device.resolve_device`."""
    import torch

    return torch.device("cpu" if device == "torch-cpu" else device)


def gram(
    rows: "Table", origin: np.ndarray, usable: np.ndarray, device: str, precise: bool
) -> np.ndarray:
    """Products [d, d] (float64) of the `usable` rows [n, d] less `origin` [d]."""
    import torch

    d = rows.shape[1]
    with torch.inference_mode():
        shift, kept = _there(origin, device), _there(usable, device)
        total = torch.zeros((d, d), dtype=torch.float64, device=place_of(device))
        for part, block in resident(rows, device):
            block = torch.where(kept[part, None], block - shift, 0.0)
            block = block.double() if precise else block
            total += block.T @ block
        return total.cpu().numpy()


def project(
    rows: "Table", mean: np.ndarray, axes: np.ndarray, device: str, places: np.ndarray
) -> None:
    """Enter coordinates of `rows` [n, d] less `mean` along `axes` [d, p] into `places` [n, p]."""
    import torch

    with torch.inference_mode():
        shift, along = _there(mean, device), _there(axes, device)
        for part, block in resident(rows, device):
            places[part] = ((block - shift) @ along).cpu().numpy()


def lloyd(
    rows: "Table", centers: np.ndarray, steps: int, device: str, tolerance: float = 0.0
) -> np.ndarray:
    """Centers [k, d] after at most `steps` steps of Lloyd's iteration of `rows` [m, d].

    It ends with a step whose squared length, summed over the centers, is at most `tolerance`. A
    center without rows does not move.
    """
    import torch

    with torch.inference_mode():
        places = _there(centers, device).float()
        for _ in range(steps):
            squares = (places**2).sum(dim=1)
            sums = torch.zeros_like(places, dtype=torch.float64)
            sizes = torch.zeros_like(squares, dtype=torch.float64)
            for _, block in resident(rows, device):
                labels = (squares - 2 * block @ places.T).argmin(dim=1)
                # As a product the sums are the same in every run; scattered additions are not.
                members = torch.nn.functional.one_hot(labels, len(places)).to(block.dtype)
                sums += members.T @ block
                sizes += members.sum(dim=0)
            moved = torch.where(sizes[:, None] > 0, sums / sizes[:, None], places).float()
            length = float(((moved - places) ** 2).sum())
            places = moved
            if length <= tolerance:
                break
        return places.cpu().numpy()


def nearest_centers(rows: np.ndarray, centers: list[np.ndarray], device: str) -> np.ndarray:
    """Number [sets, m] (int32) of the nearest to each of `rows` [m, p] of several sets of centers.

    `rows` are float32, each of `centers` [k, p].
    """
    import torch

    labels = np.empty((len(centers), len(rows)), np.int32)
    with torch.inference_mode():
        sets = [_there(some, device).float() for some in centers]
        halves = [(some**2).sum(dim=1) / 2 for some in sets]
        for start in range(0, len(rows), BLOCK_ROWS):
            part = slice(start, start + BLOCK_ROWS)
            block = _there(rows[part], device)
            for number, (some, half) in enumerate(zip(sets, halves, strict=True)):
                labels[number, part] = (block @ some.T - half).argmax(dim=1).int().cpu().numpy()
    return labels


def gathered_sums(
    rows: "Table", origin: np.ndarray, labels: np.ndarray, counts: np.ndarray, device: str
) -> np.ndarray:
    """Sums [sum(counts), d] (float64) of `rows` [m, d] less `origin` [d] in several partitions.

    `labels` [partitions, m] are the clusters, `counts` [partitions] their numbers.
    """
    import torch

    with torch.inference_mode():
        shift, own = _there(origin, device).float(), _there(labels, device).long()
        first = np.cumsum([0, *counts])
        total = torch.zeros((first[-1], rows.shape[1]), dtype=torch.float64, device=shift.device)
        for part, block in resident(rows, device):
            members = [
                torch.nn.functional.one_hot(some, int(count))
                for some, count in zip(own[:, part], counts, strict=True)
            ]
            total += torch.cat(members, dim=1).to(block.dtype).T @ (block - shift)
        return total.cpu().numpy()


def nearest(
    rows: "Table",
    scale: np.ndarray,
    queries: np.ndarray,
    device: str,
    places: np.ndarray,
    cosines: np.ndarray,
) -> None:
    """Enter the rows of largest cosine to each of `queries` [q] into `places`, `cosines` [q, c].

    `scale` [m] is 1 / length of each row, 0 for one that is no neighbor.
    """
    import torch

    count = places.shape[1]
    with torch.inference_mode():
        scales, asked = _there(scale, device), _there(queries, device)
        units = [
            _there(rows[queries[at : at + BLOCK_ROWS]], device)
            * scales[asked[at : at + BLOCK_ROWS], None]
            for at in range(0, len(queries), BLOCK_ROWS)
        ]
        best = [_there(cosines[at : at + BLOCK_ROWS], device) for at in _starts(queries)]
        found = [_there(places[at : at + BLOCK_ROWS], device) for at in _starts(queries)]
        for part, block in resident(rows, device):
            block = block * scales[part, None]
            numbers = torch.arange(part.start, part.stop, device=block.device)
            for number, some in enumerate(units):
                own = asked[number * BLOCK_ROWS : number * BLOCK_ROWS + len(some)]
                similar = some @ block.T
                similar[:, scales[part] == 0] = -torch.inf
                similar[own[:, None] == numbers] = -torch.inf
                best[number], kept = torch.cat((best[number], similar), dim=1).topk(count)
                both = torch.cat((found[number], numbers.expand(len(own), -1)), dim=1)
                found[number] = both.gather(1, kept)
        for number, at in enumerate(_starts(queries)):
            places[at : at + BLOCK_ROWS] = found[number].cpu().numpy()
            cosines[at : at + BLOCK_ROWS] = best[number].cpu().numpy()


def resident(rows: "Table", device: str) -> "Iterator[tuple[slice, torch.Tensor]]":
    """Yield parts of the rows and their float32 blocks [m, d] on the device, in order."""
    table = _table(rows, device)
    for start in range(0, len(rows), BLOCK_ROWS):
        part = slice(start, min(start + BLOCK_ROWS, len(rows)))
        if table is None:
            yield part, _there(rows[part], device)
        else:
            block = table[part].float()
            scales = getattr(rows, "scales", None)
            yield part, block if scales is None else block * _there(scales[part], device)[:, None]


def _table(rows: "Table", device: str) -> "torch.Tensor | None":
    """The table on the device, kept there for the next pass; None if it does not fit."""
    import torch

    if isinstance(rows, np.ndarray):
        return None
    if device not in rows.resident:
        if (
            place_of(device).type == "cuda"
            and 2 * rows.codes.nbytes > torch.cuda.mem_get_info(device)[0]
        ):
            return None
        dtype = {"BF16": torch.bfloat16, "F16": torch.float16}.get(rows.dtype)
        codes = np.ascontiguousarray(rows.codes)
        table = torch.from_numpy(codes if dtype is None else codes.view(np.int16)).to(
            place_of(device)
        )
        rows.resident[device] = table if dtype is None else table.view(dtype)
    return rows.resident[device]


def _starts(queries: np.ndarray) -> range:
    return range(0, len(queries), BLOCK_ROWS)


def _there(array: np.ndarray, device: str) -> "torch.Tensor":
    import torch

    return torch.from_numpy(np.array(array)).to(place_of(device))
