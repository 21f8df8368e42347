"""MNIST and Fashion-MNIST: 70,000 small grey images each, read from files in IDX format, or downloaded.

MNIST shows handwritten digits (LeCun, Cortes and Burges 1998), Fashion-MNIST pieces of clothing (Xiao, Rasul and
Vollgraf 2017, arXiv:1708.07747), which are harder to tell apart.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import shutil
import urllib.request
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nn.data.checks import Data
from nn.files import full_path, written_whole

#: The types of numbers that IDX files know, by the third byte of the file; numbers of several bytes are big-endian.
IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}

#: What the labels of Fashion-MNIST mean.
FASHION_MNIST_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


@dataclass(frozen=True)
class Source:
    """Where the files of a data set come from.

    mirrors: addresses of folders that hold the files, the preferred one first.
    sha256: the checksum of each file, by its name.
    """

    mirrors: Sequence[str]
    sha256: Mapping[str, str]


MNIST = Source(
    mirrors=("https://storage.googleapis.com/cvdf-datasets/mnist/", "https://ossci-datasets.s3.amazonaws.com/mnist/"),
    sha256={
        "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcd07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    },
)
FASHION_MNIST = Source(
    mirrors=(
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
    sha256={
        "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    },
)


def mnist(folder: str | Path, download: bool = False) -> tuple[Data, Data]:
    """Handwritten digits: a pair of 60,000 images to train with and a pair of 10,000 to test with.

    `training, test = mnist("data/mnist")`; each is a pair (X, y): X (N, 1, 28, 28), float32 from 0 (paper) to 1 (ink),
    and y (N,), int64, the digits. Both go into `fit` as they are.

    folder: where the four files are, train-images-idx3-ubyte and so on, with .gz behind the name or without.
    download: whether to fetch (12 MB) what is not there. A file whose SHA-256 is wrong is refused and not kept.

    Raises FileNotFoundError where a file is missing, ValueError where one is damaged, OSError where no mirror answers.
    """
    return _both(folder, MNIST, download)


def fashion_mnist(folder: str | Path, download: bool = False) -> tuple[Data, Data]:
    """Pieces of clothing, in the same form as `mnist` (31 MB); `FASHION_MNIST_CLASSES` says what the labels mean."""
    return _both(folder, FASHION_MNIST, download)


def _both(folder: str | Path, source: Source, download: bool) -> tuple[Data, Data]:
    return _pair("train", full_path(folder), source, download), _pair("t10k", full_path(folder), source, download)


def _pair(part: str, folder: Path, source: Source, download: bool) -> Data:
    """Images as numbers from 0 to 1, and their labels."""
    paths = [_find(folder, f"{part}-{kind}-ubyte.gz", source, download) for kind in ("images-idx3", "labels-idx1")]
    images, labels = map(read_idx, paths)
    if images.shape[1:] != (28, 28) or images.dtype != np.uint8:
        raise ValueError(f"{paths[0]} holds {images.dtype} {images.shape}; images must be uint8 (N, 28, 28)")
    if labels.shape != images.shape[:1] or labels.dtype != np.uint8:
        raise ValueError(f"{paths[1]} holds {labels.dtype} {labels.shape}; labels for {len(images)} images are needed")
    if labels.max(initial=0) > 9:
        raise ValueError(f"{paths[1]} holds the label {labels.max()}; there are the ten from 0 to 9")
    return (images[:, None] / np.float32(255)).astype(np.float32), labels.astype(np.int64)


def read_idx(path: str | Path) -> np.ndarray:
    """The array in a file in IDX format, packed with gzip or not.

    The format: two bytes of 0, one for the type of the numbers (see `IDX_TYPES`), one for how many dimensions there
    are; four bytes for each length; then the numbers, the last dimension running fastest.

    Raises ValueError where the file is anything else, or shorter or longer than it says.
    """
    path = full_path(path)
    content = _unpacked(path)
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in IDX_TYPES:
        raise ValueError(f"{path} is no IDX file: it begins with {content[:4]!r}, not with two bytes of 0 and a type")
    dtype, dimensions = np.dtype(IDX_TYPES[content[2]]), content[3]
    begin = 4 + 4 * dimensions
    shape = [int.from_bytes(content[place : place + 4], "big") for place in range(4, begin, 4)]
    expected = begin + math.prod(shape) * dtype.itemsize
    if len(content) != expected:
        raise ValueError(f"{path} is damaged: {shape} of {dtype.name} make {expected} bytes, not {len(content)}")
    return np.frombuffer(content, dtype, offset=begin).reshape(shape).astype(dtype.newbyteorder("="))


def _unpacked(path: Path) -> bytes:
    content = path.read_bytes()
    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is damaged: gzip says {error}; delete it and get it anew") from None


def _find(folder: Path, name: str, source: Source, download: bool) -> Path:
    """The file of this name in the folder, packed or not, fetched if need be."""
    for path in (folder / name, folder / name.removesuffix(".gz")):
        if path.is_file():
            return path
    if not download:
        raise FileNotFoundError(f"{folder / name} does not exist; give download=True to fetch it, or another folder")
    return _fetch(folder / name, source)


def _fetch(path: Path, source: Source) -> Path:
    """Fetch the file from the first mirror that has the right one."""
    refusals = []
    for mirror in source.mirrors:
        try:
            _fetch_from(mirror + path.name, path, source.sha256[path.name])
            return path
        except (OSError, ValueError) as error:  # URLError and timeouts are kinds of OSError
            refusals.append(f"{mirror + path.name}: {error}")
    raise OSError(f"{path.name} could not be fetched; " + "; ".join(refusals))


def _fetch_from(address: str, path: Path, sha256: str) -> None:
    with written_whole(path) as beside:
        with urllib.request.urlopen(address, timeout=30) as answer, open(beside, "wb") as file:
            shutil.copyfileobj(answer, file)
        found = hashlib.sha256(beside.read_bytes()).hexdigest()
        if found != sha256:
            raise ValueError(f"what came has the SHA-256 {found}, not {sha256}; it was not kept")
