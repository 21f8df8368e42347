"""Augmentation: images altered at random in ways that leave their meaning, so that each epoch shows others.

A transform is a function of a batch and a generator of random numbers: `transform(images, random)` gives a new batch
of the same shape and type and leaves the old one as it is. Images are (N, C, H, W); each is altered in a way of its
own, all its channels alike. A function of your own with these arguments is a transform too.

>>> import numpy as np
>>> from nn.data import Compose, Flip, Shift
>>> images = np.arange(6.0).reshape(1, 1, 2, 3)
>>> Compose([Shift(1), Flip()])(images, np.random.default_rng(0)).shape
(1, 1, 2, 3)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

#: A batch and a generator of random numbers in, a batch of the same shape out.
Transform = Callable[[np.ndarray, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Compose:
    """Transforms one after another."""

    transforms: Sequence[Transform]

    def __post_init__(self) -> None:
        several = isinstance(self.transforms, Sequence)
        if not several or not all(callable(transform) for transform in self.transforms):
            raise TypeError(f"Compose: {self.transforms!r:.80}; give a list of transforms: Compose([Shift(2), Flip()])")

    def __call__(self, images: np.ndarray, random: np.random.Generator) -> np.ndarray:
        for transform in self.transforms:
            images = transform(images, random)
        return images


@dataclass(frozen=True)
class Shift:
    """Moved by a whole number of pixels in -pixels ... pixels, down and right each for itself.

    fill: what comes in from outside, 0 unless given.
    """

    pixels: int
    fill: float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.pixels, bool) or not isinstance(self.pixels, int) or self.pixels < 0:
            raise ValueError(f"Shift: pixels={self.pixels!r}; give a whole number of 0 or more")
        _check_numbers("Shift", fill=self.fill)

    def __call__(self, images: np.ndarray, random: np.random.Generator) -> np.ndarray:
        count, channels, height, width = _check_images("Shift", images).shape
        border = [(0, 0), (0, 0), (self.pixels, self.pixels), (self.pixels, self.pixels)]
        padded = np.pad(images, border, constant_values=self.fill)
        down, right = random.integers(0, 2 * self.pixels, size=(2, count, 1), endpoint=True)
        rows, columns = np.arange(height) + down, np.arange(width) + right
        image, channel = np.ogrid[:count, :channels]
        return padded[image[..., None, None], channel[..., None, None], rows[:, None, :, None], columns[:, None, None]]


@dataclass(frozen=True)
class Flip:
    """Mirrored with probability p, left to right, or upside down with vertical=True.

    For things that are as good the other way round: photographs of cats, but no digits and no letters.
    """

    p: float = 0.5
    vertical: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.p, Real) or not 0 <= self.p <= 1:
            raise ValueError(f"Flip: p={self.p!r}; give a probability from 0 to 1")

    def __call__(self, images: np.ndarray, random: np.random.Generator) -> np.ndarray:
        chosen = random.random(len(_check_images("Flip", images))) < self.p
        mirrored = images[:, :, ::-1] if self.vertical else images[..., ::-1]
        return np.where(chosen[:, None, None, None], mirrored, images)


@dataclass(frozen=True)
class Rotate:
    """Turned about the centre by an angle that is uniform in +-degrees, pixels interpolated linearly.

    fill: what comes in from outside, 0 unless given.
    """

    degrees: float
    fill: float = 0.0

    def __post_init__(self) -> None:
        _check_numbers("Rotate", degrees=self.degrees, fill=self.fill)

    def __call__(self, images: np.ndarray, random: np.random.Generator) -> np.ndarray:
        angles = random.uniform(-abs(self.degrees), abs(self.degrees), len(_check_images("Rotate", images)))
        turned = [_rotated(image, angle, self.fill) for image, angle in zip(images, angles, strict=True)]
        return np.array(turned, images.dtype).reshape(images.shape)


def _rotated(image: np.ndarray, degrees: float, fill: float) -> np.ndarray:
    """An image (C, H, W), turned counterclockwise: for each new pixel, the place in the old image is computed."""
    from scipy import ndimage  # here, because it takes longer to import than all of nn

    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    back = np.array([[cos, sin], [-sin, cos]])
    centre = (np.array(image.shape[1:]) - 1) / 2
    begin = centre - back @ centre
    return np.stack([ndimage.affine_transform(channel, back, begin, order=1, cval=fill) for channel in image])


@dataclass(frozen=True)
class Noise:
    """Normal noise of standard deviation `std` added to each number; for arrays of any shape."""

    std: float

    def __post_init__(self) -> None:
        _check_numbers("Noise", std=self.std)
        if self.std < 0:
            raise ValueError(f"Noise: std={self.std}; give a standard deviation of 0 or more")

    def __call__(self, images: np.ndarray, random: np.random.Generator) -> np.ndarray:
        noise = random.normal(0, self.std, _check_type("Noise", images).shape)
        return images + noise.astype(images.dtype)


def _check_images(name: str, images: Any) -> np.ndarray:
    if np.ndim(_check_type(name, images)) != 4:
        raise ValueError(f"{name}: the images have shape {images.shape}; give (N, C, H, W): X.reshape(-1, 1, 28, 28)")
    return images


def _check_type(name: str, images: Any) -> np.ndarray:
    if not isinstance(images, np.ndarray) or images.dtype.kind != "f":
        kind = images.dtype if isinstance(images, np.ndarray) else type(images).__name__
        raise TypeError(f"{name}: the images hold {kind}; give floating-point numbers: images / 255")
    return images


def _check_numbers(name: str, **numbers: float) -> None:
    for word, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, Real) or not math.isfinite(number):
            raise ValueError(f"{name}: {word}={number!r}; give a finite number")
