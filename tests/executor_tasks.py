"""What workers are asked to do; a module that they can import. Not a test by itself."""

import os
import signal

import numpy as np

import fast
import nn

DATA = np.linspace(-1, 1, 20).reshape(10, 2), np.linspace(-1, 1, 10).reshape(10, 1) ** 2


def network(seed):
    return nn.MLP([2, 4, 1], "tanh", engine=fast, seed=seed)


def square(number):
    return number * number


def trouble(number):
    if number == 2:
        raise ValueError(f"{number} is too much")
    return number


def alone(_):
    """Whether the engine keeps to one thread, and in which process."""
    return fast.threads.alone(), os.getpid()


def compiled(_):
    """How often Numba had to compile for a short training, instead of finding it on disk."""
    stats = [kernel.stats for kernel in _kernels()]
    before = sum(sum(one.cache_misses.values()) for one in stats)
    model = network(0)
    nn.fit(model, DATA, nn.mse_loss, nn.Adam(model.parameters(), 0.1), 2)
    return sum(sum(kernel.stats.cache_misses.values()) for kernel in _kernels()) - before


def _kernels():
    from numba.core.dispatcher import Dispatcher

    import fast.kernels.elementwise as elementwise
    import fast.kernels.losses as losses
    import fast.kernels.products as products
    import fast.kernels.updates as updates

    modules = (elementwise, losses, products, updates)
    return [thing for module in modules for thing in vars(module).values() if isinstance(thing, Dispatcher)]


def killed_once(task):
    """The number of the task; but whoever is first at number 2 is killed. The folder says whether that was so."""
    number, folder = task
    if number == 2:
        try:
            (folder / "killed").touch(exist_ok=False)
        except FileExistsError:
            return number
        os.kill(os.getpid(), signal.SIGKILL)
    return number
