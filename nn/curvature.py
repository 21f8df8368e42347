"""How sharply the loss is curved: the largest eigenvalue of its Hessian.

Gradient descent with the rate lr on a quadratic loss multiplies the error along an eigenvector of the Hessian by
1 - lr * eigenvalue in every step, so it diverges where the largest eigenvalue is above 2 / lr. On networks that
eigenvalue grows while they are trained, until it hovers just there: "the edge of stability" (Cohen et al. 2021,
"Gradient descent on neural networks typically occurs at the edge of stability", arXiv:2103.00065).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from nn.arguments import check_error, check_model, prepare
from nn.callbacks import Callback
from nn.data import Data, check_count, generator
from nn.engine import Tensor, tensor_beside
from nn.history import Run
from nn.modules import Module, first_parameter
from nn.restoring import restored
from nn.training import Loss

#: The most vectors that Lanczos's method keeps; networks need 10 to 40.
MOST_VECTORS = 100


def sharpness(model: Module, data: Data, loss: Loss, *, seed: int = 0) -> float:
    """The largest eigenvalue of the Hessian of the loss on all of `data`, over all parameters that require a gradient.

    model: is left as it was, to the last bit. It is asked in the mode in which it is; in training, a `Dropout` drops
        the same elements whenever it is asked.
    seed: of the direction in which the search begins.

    Lanczos's method asks only for products of the Hessian with vectors v, (gradient(p + h v) - gradient(p - h v)) / 2h
    with a small step h: 10 to 40 of them, each at the cost of two training steps, however many parameters there are.
    In float64 the result is good to about 8 digits, in float32 to about 4, except at the kinks of a ReLU, where there
    is no Hessian. It is nan where a gradient is infinite or not a number.
    """
    check_model("sharpness", model)
    hessian = _Hessian("sharpness", model, data, loss)
    start = generator(seed).normal(size=hessian.size)
    return largest_eigenvalue(hessian.product, start, hessian.precision)


class RecordSharpness(Callback):
    """Records `nn.sharpness` while `fit` trains: before the first step, and after every one, or after every `every`.

    data, loss: those of `fit`.
    values: values[i] is the sharpness at the parameters whose loss is `history.step_loss[i * every]`; the last may
        belong to the parameters after the last step.
    """

    def __init__(self, data: Data, loss: Loss, every: int = 1) -> None:
        self.data, self.loss, self.every = data, loss, check_count("RecordSharpness: every", every)
        self.values: list[float] = []

    def on_train_begin(self, run: Run) -> None:
        self.values = [sharpness(run.model, self.data, self.loss)]

    def on_step_end(self, run: Run) -> None:
        if len(run.history.step_loss) % self.every == 0:
            self.values.append(sharpness(run.model, self.data, self.loss))


class _Hessian:
    """The Hessian of a loss at a model's parameters, as a function of vectors.

    size: the number of parameters.
    precision: the share of a product that is lost in rounding, about: the step h is chosen so that it loses as much.
    """

    def __init__(self, name: str, model: Module, data: Data, loss: Loss) -> None:
        first = first_parameter(model)
        self.model, self.loss = model, loss
        self.inputs, self.targets = [tensor_beside(first, array) for array in prepare(f"{name}: data", data, model)]
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.size = sum(math.prod(parameter.shape) for parameter in self.parameters)
        self.precision = float(np.cbrt(np.finfo(first.dtype).eps))
        length = math.sqrt(sum(float(np.square(np.asarray(p.cpu(), "float64")).sum()) for p in self.parameters))
        self.step = self.precision * max(1.0, length)

    def product(self, v: np.ndarray) -> np.ndarray:
        """The Hessian times a vector of length 1."""
        return (self._gradient(self.step * v) - self._gradient(-self.step * v)) / (2 * self.step)

    @np.errstate(over="ignore", invalid="ignore")  # what is infinite or not a number is an answer too
    def _gradient(self, offset: np.ndarray) -> np.ndarray:
        """The gradient at the parameters moved by `offset`."""
        with restored(self.model):
            start = 0
            for parameter in self.parameters:
                stop = start + math.prod(parameter.shape)
                parameter.copy_(np.asarray(parameter.cpu()) + offset[start:stop].reshape(parameter.shape))
                start = stop
            self.model.zero_grad()
            error = self.loss(self.model(self.inputs), self.targets)
            check_error("sharpness", error)
            error.backward()
            return np.concatenate([_flat(parameter) for parameter in self.parameters])


def _flat(parameter: Tensor) -> np.ndarray:
    """The gradient as one row of float64; zeros where the loss does not depend on the parameter."""
    grad = np.zeros(parameter.shape) if parameter.grad is None else parameter.grad.cpu()
    return np.asarray(grad, "float64").ravel()


def largest_eigenvalue(product: Callable[[np.ndarray], np.ndarray], start: np.ndarray, precision: float) -> float:
    """The largest eigenvalue of a symmetric matrix of which only its product with a vector is known; nan if that is
    not finite.

    start: a vector with a share of the eigenvector that is looked for; a random one has it.
    precision: how small the residual of the eigenvector must be, as a share of the largest eigenvalue's size. The
        error of the eigenvalue is smaller, about the square of that.
    Source: Lanczos 1950, with every new vector made orthogonal to all before, twice (Golub and Van Loan, "Matrix
    computations", section 10.3).
    """
    from scipy.linalg import eigh_tridiagonal  # here, because it takes as long to import as all of nn

    basis = np.zeros((0, len(start)))
    diagonal: list[float] = []
    beside: list[float] = []
    vector = start / np.linalg.norm(start)
    while True:
        basis = np.vstack([basis, vector])
        image = product(vector)
        if not np.isfinite(image).all():
            return math.nan
        diagonal.append(float(image @ vector))
        for _ in range(2):
            image = image - (basis @ image) @ basis
        left = float(np.linalg.norm(image))
        values, vectors = eigh_tridiagonal(diagonal, beside)
        settled = left * abs(vectors[-1, -1]) <= precision * np.abs(values).max()
        if settled or len(basis) == min(len(start), MOST_VECTORS):
            return float(values[-1])
        beside.append(left)
        vector = image / left
