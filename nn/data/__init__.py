"""Data on its way into training: read from files, checked, altered at random, cut into batches.

`read_csv` reads tables, `mnist` and `fashion_mnist` images; scikit-learn splits, scales and encodes them. `fit` cuts
them into `batches` and hands these to transforms such as `Shift` and `Flip`, so that no epoch shows the same images.
"""

from nn.data.batches import batches, feed, prefetch
from nn.data.checks import (
    Data,
    check_batch_size,
    check_count,
    check_data,
    check_numbers,
    generator,
)
from nn.data.images import FASHION_MNIST_CLASSES, fashion_mnist, mnist, read_idx
from nn.data.tables import Table, read_csv
from nn.data.transforms import Compose, Flip, Noise, Rotate, Shift, Transform

__all__ = [
    "FASHION_MNIST_CLASSES",
    "Compose",
    "Data",
    "Flip",
    "Noise",
    "Rotate",
    "Shift",
    "Table",
    "Transform",
    "batches",
    "check_batch_size",
    "check_count",
    "check_data",
    "check_numbers",
    "fashion_mnist",
    "feed",
    "generator",
    "mnist",
    "prefetch",
    "read_csv",
    "read_idx",
]
