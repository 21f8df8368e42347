"""PTX's fundamental types, as NumPy sees them."""

import numpy as np

#: The type that an instruction computes with, by the suffix that names it. Bits (`b32`) count as unsigned numbers.
DTYPES = {
    "pred": np.dtype(np.bool_),
    **{f"{kind}{bits}": np.dtype(f"u{bits // 8}") for kind in "bu" for bits in (8, 16, 32, 64)},
    **{f"s{bits}": np.dtype(f"i{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"f{bits}": np.dtype(f"f{bits // 8}") for bits in (16, 32, 64)},
}
#: Unsigned numbers by their width in bytes: what registers and memory hold.
UNSIGNED = {width: np.dtype(f"u{width}") for width in (1, 2, 4, 8)}


def width(kind: str) -> int:
    """Bytes of a type in memory."""
    return DTYPES[kind].itemsize


def is_float(kind: str) -> bool:
    """Whether it is a type of floating-point numbers."""
    return kind.startswith("f")


def number(text: str, kind: str):
    """A literal as one number of the given type: `-1`, `0x1F`, `0f3F800000` (bits of a float32), `0d...` (a float64).

    Whole numbers keep their low bits, as a register of that width would.
    """
    dtype = DTYPES[kind]
    if text[:2].lower() in ("0f", "0d") and len(text) in (10, 18):
        unsigned, real = (np.uint32, np.float32) if text[1] in "fF" else (np.uint64, np.float64)
        value = np.array(int(text[2:], 16), unsigned).view(real)
        return (value if is_float(kind) else value.view(unsigned)).astype(dtype)
    value = int(text.rstrip("U"), 0)
    if kind == "pred" or is_float(kind):
        return np.array(value).astype(dtype)
    return np.array(value % 2 ** (8 * dtype.itemsize), UNSIGNED[dtype.itemsize]).view(dtype)
