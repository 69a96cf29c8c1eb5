"""Factorise a matrix in tiles, as a graph of tasks, and see that the result is right whatever strikes.

``scalable run examples/cholesky.py --inject "probability=50%,seed=7"``, or with another kind of fault:
``kind=worker-killed,probability=20%,allow_destructive=true``. Arguments are the numbers of tiles in a row and
of rows in a tile: ``scalable run examples/cholesky.py 6 100``.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from scalable import Retry

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scalable import ScalableClient

PATIENT = Retry(retries=20, worker_losses=20, base=0.01, max_delay=0.2)


def factor(tile: NDArray[Any]) -> NDArray[Any]:
    """Factorise a tile of the diagonal."""
    return np.linalg.cholesky(tile)


def solve(diagonal: NDArray[Any], tile: NDArray[Any]) -> NDArray[Any]:
    """Bring a tile below the diagonal into the factor."""
    return np.linalg.solve(diagonal, tile.T).T


def update(tile: NDArray[Any], left: NDArray[Any], above: NDArray[Any]) -> NDArray[Any]:
    """Take from a tile what the factor's tiles left of it account for."""
    return tile - left @ above.T


def positive(tiles: int, rows: int, seed: int = 0) -> NDArray[Any]:
    """A symmetric positive definite matrix of that many tiles in a row."""
    side = tiles * rows
    random = np.random.default_rng(seed).standard_normal((side, side))
    return random @ random.T + side * np.eye(side)


def cholesky(
    client: ScalableClient, matrix: NDArray[Any], tiles: int, retry: Retry = PATIENT
) -> NDArray[Any]:
    """Factorise on the session's workers: the lower triangular factor of ``matrix``, as numpy's."""
    rows = len(matrix) // tiles
    parts: dict[tuple[int, int], Any] = {
        (i, j): matrix[i * rows : (i + 1) * rows, j * rows : (j + 1) * rows]
        for i in range(tiles)
        for j in range(i + 1)
    }
    for k in range(tiles):
        parts[k, k] = client.submit(factor, parts[k, k], retry=retry)
        for i in range(k + 1, tiles):
            parts[i, k] = client.submit(solve, parts[k, k], parts[i, k], retry=retry)
        for i in range(k + 1, tiles):
            for j in range(k + 1, i + 1):
                parts[i, j] = client.submit(update, parts[i, j], parts[i, k], parts[j, k], retry=retry)
    found = np.zeros_like(matrix)
    for (i, j), tile in client.gather(parts).items():
        found[i * rows : (i + 1) * rows, j * rows : (j + 1) * rows] = tile
    return found


def main(client: ScalableClient, tiles: str = "4", rows: str = "50") -> None:
    """Factorise, and compare with numpy."""
    matrix = positive(int(tiles), int(rows))
    found = cholesky(client, matrix, int(tiles))
    if not np.allclose(found, np.linalg.cholesky(matrix)):
        sys.exit("the factor is wrong")
    print(f"the factor of a {len(matrix)} by {len(matrix)} matrix is right")
