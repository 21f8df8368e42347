"""The workloads on JAX: a step, update included, is one compiled function that reuses its arguments' memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp
from turns import timed
from workloads import BATCH, LEARNING_RATE, PENALTY, Problem

Run = Callable[[int], tuple[list[float], list[float]]]
#: Parameters, or what else belongs to each of them, by name.
Tree = dict[str, jax.Array]


def dense(p: Tree, layer: int, x: jax.Array) -> jax.Array:
    return x @ p[f"{layer}.weight"].T + p[f"{layer}.bias"]


def mlp(p: Tree, x: jax.Array) -> jax.Array:
    last = len(p) - 2
    for layer in range(0, last, 2):
        x = jax.nn.relu(dense(p, layer, x))
    return dense(p, last, x)


def convolution(p: Tree, layer: int, x: jax.Array) -> jax.Array:
    y = lax.conv_general_dilated(x, p[f"{layer}.weight"], (1, 1), "SAME", dimension_numbers=("NCHW", "OIHW", "NCHW"))
    return y + p[f"{layer}.bias"][:, None, None]


def max_pool(x: jax.Array) -> jax.Array:
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")


def lenet(p: Tree, x: jax.Array) -> jax.Array:
    x = max_pool(jax.nn.relu(convolution(p, 0, x)))
    x = max_pool(jax.nn.relu(convolution(p, 3, x)))
    return dense(p, 7, x.reshape(len(x), -1))


def lstm(p: Tree, x: jax.Array) -> jax.Array:
    bias = p["0.bias_ih_l0"] + p["0.bias_hh_l0"]

    def step(state: tuple[jax.Array, jax.Array], x: jax.Array) -> tuple:
        h, c = state
        i, f, g, o = jnp.split(x + h @ p["0.weight_hh_l0"].T, 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), None

    zeros = jnp.zeros((len(x), 64), x.dtype)
    (h, _), _ = lax.scan(step, (zeros, zeros), (x @ p["0.weight_ih_l0"].T + bias).swapaxes(0, 1))
    return dense(p, 2, h)


def cross_entropy(logits: jax.Array, y: jax.Array) -> jax.Array:
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1).mean()


def sgd(p: Tree, grads: Tree, state: Any) -> tuple[Tree, Any]:
    return jax.tree.map(lambda p, g: p - LEARNING_RATE["SGD"] * g, p, grads), state


def adam(p: Tree, grads: Tree, state: tuple[jax.Array, Tree, Tree]) -> tuple:
    t, m, v = state
    t = t + 1
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, grads)
    size, root = LEARNING_RATE["Adam"] / (1 - 0.9**t), jnp.sqrt(1 - 0.999**t)
    return jax.tree.map(lambda p, m, v: p - size * m / (jnp.sqrt(v) / root + 1e-8), p, m, v), (t, m, v)


class Jax:
    def moons(self, problem: Problem, penalty: bool = True) -> Run:
        def loss(p: Tree, x: jax.Array, y: jax.Array) -> jax.Array:
            mean = jax.nn.relu(1 - y * mlp(p, x)).mean()
            return mean + PENALTY * sum((array * array).sum() for array in p.values()) if penalty else mean

        return self._train(problem, loss, sgd)

    def mlp(self, problem: Problem) -> Run:
        return self._train(problem, lambda p, x, y: cross_entropy(mlp(p, x), y), adam)

    def lenet(self, problem: Problem) -> Run:
        return self._train(problem, lambda p, x, y: cross_entropy(lenet(p, x), y), sgd)

    def lstm(self, problem: Problem) -> Run:
        return self._train(problem, lambda p, x, y: cross_entropy(lstm(p, x), y), adam)

    def digits(self, problem: Problem) -> Run:
        x, y = jnp.asarray(problem.pop("x")), jnp.asarray(problem.pop("y"))
        step = self._stepper(problem, lambda p, rows: cross_entropy(mlp(p, x[rows]), y[rows]), adam)
        random = np.random.default_rng(0)

        def epoch() -> float:
            total, losses = 0.0, []
            order = random.permutation(len(x))
            for start in range(0, len(x), BATCH):
                rows = order[start : start + BATCH]
                losses.append(step(rows))
                total += losses[-1] * len(rows)
            return total / len(x)

        return lambda count: timed(epoch, count)

    def elementwise(self, problem: Problem, name: str) -> Run:
        x = jnp.asarray(problem["x"])
        functions = {"exp": jnp.exp, "tanh": jnp.tanh, "sigmoid": jax.nn.sigmoid}
        function = jax.jit(functions.get(name, lambda x: jax.nn.gelu(x, approximate=False)))

        def run(count: int) -> tuple[list[float], list[float]]:
            return function(x)[:count].tolist(), timed(lambda: function(x).block_until_ready() is None, count)[1]

        return run

    def _train(self, problem: Problem, loss: Callable[..., jax.Array], update: Callable) -> Run:
        x, y = jnp.asarray(problem.pop("x")), jnp.asarray(problem.pop("y"))
        step = self._stepper(problem, loss, update)
        return lambda count: timed(lambda: step(x, y), count)

    def _stepper(self, weights: Problem, loss: Callable[..., jax.Array], update: Callable) -> Callable[..., float]:
        """What makes one step for a batch and returns its loss."""

        def step(p: Tree, state: Any, *batch: jax.Array) -> tuple:
            error, grads = jax.value_and_grad(loss)(p, *batch)
            return error, *update(p, grads, state)

        compiled = jax.jit(step, donate_argnums=(0, 1))
        p = {name: jnp.asarray(array) for name, array in weights.items()}
        zeros = [jax.tree.map(jnp.zeros_like, p) for _ in range(2)]
        state = (jnp.zeros((), jnp.int32), *zeros) if update is adam else ()

        def run(*batch: jax.Array) -> float:
            nonlocal p, state
            error, p, state = compiled(p, state, *batch)
            return float(error)

        return run
