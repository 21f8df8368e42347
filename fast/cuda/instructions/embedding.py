"""Rows looked up by number: n numbers, a table (rows, columns)."""

from __future__ import annotations

from typing import Any

from fast.cuda.gpu import Gpu


def look_up(gpu: Gpu, n: int, rows: int, columns: int, indices: Any, table: Any, y: Any, numbers: Any = ()) -> None:
    """y[i] = table[indices[i]]."""
    arrays = gpu.whole(indices, n), gpu.array(table, rows, columns), gpu.array(y, n, columns)
    gpu.launch("embedding.embedding", *arrays, gpu.flaws)


def look_up_grad(
    gpu: Gpu, n: int, rows: int, columns: int, indices: Any, grad: Any, grad_table: Any, numbers: Any = ()
) -> None:
    """grad_table[r] = the sum of grad[i] over all i with indices[i] = r."""
    gpu.launch("moving.fill", 0, gpu.array(grad_table, rows * columns))
    arrays = gpu.array(grad, n, columns), gpu.whole(indices, n), gpu.array(grad_table, rows, columns)
    gpu.launch("embedding.embedding_grad", *arrays)
