"""Lloyd's iteration of K-means on a torch device, with the rows streamed to it block by block."""

import numpy as np

from workflow.lib.vectors import blocks

STEPS = 300


def settled(rows: np.ndarray, centres: np.ndarray, device: str, tolerance: float) -> np.ndarray:
    """Centres [k, d] for K-means of `rows` [m, d] (float32) to make its last step from.

    Lloyd's iteration starts from `centres` and ends, at the latest after `STEPS`, with a step whose
    squared length, summed over the centres, is at most `tolerance`. The centres before that step
    are returned: whoever takes it finds the same end. A centre without rows stays where it is.
    `device` is torch's name, such as cuda:0. Products are in float32, sums of blocks in float64.
    """
    import torch

    places = torch.as_tensor(centres, dtype=torch.float32, device=device)
    with torch.inference_mode():
        for _ in range(STEPS):
            sums = torch.zeros(places.shape, dtype=torch.float64, device=device)
            sizes = torch.zeros(len(places), dtype=torch.float64, device=device)
            squares = (places**2).sum(dim=1)
            for part in blocks(rows):
                block = torch.from_numpy(rows[part]).to(device)
                labels = (squares - 2 * block @ places.T).argmin(dim=1)
                # As a product the sums are the same in every run; scattered additions are not.
                members = torch.nn.functional.one_hot(labels, len(places)).to(block.dtype)
                sums += members.T @ block
                sizes += members.sum(dim=0)
            moved = torch.where(sizes[:, None] > 0, sums / sizes[:, None], places).float()
            if float(((moved - places) ** 2).sum()) <= tolerance:
                break
            places = moved
        return places.cpu().numpy()
