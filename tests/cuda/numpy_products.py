"""Products of matrices by NumPy, from the arguments of their kernels, of which each takes the simulator seconds."""


def multiply(name, a, b, bias, c):
    """What the kernel of that name in the registry computes, for arrays of the simulator."""
    a, b, bias, c = [array._ary for array in (a, b, bias, c)]
    turned_a, turned_b = name.removeprefix("products.product_")[:2]
    a, b = [x.swapaxes(1, 2) if turned == "t" else x for x, turned in ((a, turned_a), (b, turned_b))]
    assert c.flags.c_contiguous
    c[...] = a @ b + (bias if bias.size else 0)
