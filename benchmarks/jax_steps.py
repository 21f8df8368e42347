"""The workloads on JAX: a step, update included, is one compiled function that reuses its arguments' memory; or many
steps are one, by `lax.scan`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import cycle, islice
from typing import Any

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp
from turns import timed, timed_together
from workloads import AT_ONCE, BATCH, LEARNING_RATE, PENALTY, Problem

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


def make_adam(lr: float = LEARNING_RATE["Adam"], betas: tuple[float, float] = (0.9, 0.999)) -> Callable:
    one, two = betas

    def adam(p: Tree, grads: Tree, state: tuple[jax.Array, Tree, Tree]) -> tuple:
        t, m, v = state
        t = t + 1
        m = jax.tree.map(lambda m, g: one * m + (1 - one) * g, m, grads)
        v = jax.tree.map(lambda v, g: two * v + (1 - two) * g * g, v, grads)
        size, root = lr / (1 - one**t), jnp.sqrt(1 - two**t)
        return jax.tree.map(lambda p, m, v: p - size * m / (jnp.sqrt(v) / root + 1e-8), p, m, v), (t, m, v)

    return adam


adam = make_adam()


def norm(x: jax.Array) -> jax.Array:
    return x / jnp.sqrt((x * x).mean(-1, keepdims=True) + 1e-5)


def gpt_loss(heads: int, p: Tree, given: jax.Array, wanted: jax.Array, known: jax.Array) -> jax.Array:
    """Of a name, behind whose letters anything may stand; known: 1 for its tasks, 0 behind them."""
    x = norm(p["letters.weight"][given] + p["places.weight"][: len(given)])
    rows = (norm(x) @ p["attention.in_proj_weight"].T).reshape(len(given), 3, heads, -1)
    query, key, value = rows.transpose(1, 2, 0, 3)
    scores = query @ key.swapaxes(1, 2) / query.shape[-1] ** 0.5
    seen = jnp.tril(jnp.ones(scores.shape[1:], bool))
    found = jax.nn.softmax(jnp.where(seen, scores, -jnp.inf)) @ value
    x = x + found.transpose(1, 0, 2).reshape(x.shape) @ p["attention.out_proj.weight"].T
    x = x + jax.nn.relu(norm(x) @ p["mlp.0.weight"].T) @ p["mlp.2.weight"].T
    chosen = jnp.take_along_axis(jax.nn.log_softmax(x @ p["answer.weight"].T), wanted[:, None], axis=1)[:, 0]
    return -(chosen * known).sum() / known.sum()


class Jax:
    """scan: whether `AT_ONCE` steps, or an epoch, are one call."""

    def __init__(self, scan: bool = False) -> None:
        self.scan = scan

    def moons(self, problem: Problem, penalty: bool = True) -> Run:
        def loss(p: Tree, x: jax.Array, y: jax.Array) -> jax.Array:
            mean = jax.nn.relu(1 - y * mlp(p, x)).mean()
            return mean + PENALTY * sum((array * array).sum() for array in p.values()) if penalty else mean

        return self._train(problem, loss, sgd)

    def mlp(self, problem: Problem) -> Run:
        return self._train(problem, lambda p, x, y: cross_entropy(mlp(p, x), y), adam)

    def mlp_sgd(self, problem: Problem) -> Run:
        return self._train(problem, lambda p, x, y: cross_entropy(mlp(p, x), y), sgd)

    def lenet(self, problem: Problem) -> Run:
        return self._train(problem, lambda p, x, y: cross_entropy(lenet(p, x), y), sgd)

    def lstm(self, problem: Problem) -> Run:
        return self._train(problem, lambda p, x, y: cross_entropy(lstm(p, x), y), adam)

    def gpt(self, problem: Problem) -> Run:
        from tutorials import microgpt

        given, wanted = problem.pop("given"), problem.pop("wanted")
        batches = list(zip(np.maximum(given, 0), np.maximum(wanted, 0), (given >= 0).astype(np.float32), strict=True))
        step, following = (
            self._stepper(problem, partial(gpt_loss, microgpt.HEADS), make_adam(**microgpt.ADAM)),
            cycle(batches),
        )
        if self.scan:
            return lambda count: timed_together(
                lambda n: step(*map(np.stack, zip(*islice(following, n), strict=True))), count, AT_ONCE
            )
        return lambda count: timed(lambda: step(*next(following)), count)

    def digits(self, problem: Problem) -> Run:
        x, y = jnp.asarray(problem.pop("x")), jnp.asarray(problem.pop("y"))
        step = self._stepper(problem, lambda p, rows: cross_entropy(mlp(p, x[rows]), y[rows]), adam)
        random = np.random.default_rng(0)

        def epoch() -> float:
            order = random.permutation(len(x))
            parts = [order[start : start + BATCH] for start in range(0, len(x), BATCH)]
            losses = [*step(np.stack(parts[:-1])), *step(parts[-1][None])] if self.scan else [step(p) for p in parts]
            return sum(loss * len(rows) for loss, rows in zip(losses, parts, strict=True)) / len(x)

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
        if self.scan:  # over nothing, for all steps see the same batch
            step = self._stepper(problem, lambda p, _: loss(p, x, y), update)
            return lambda count: timed_together(lambda n: step(np.zeros(n)), count, AT_ONCE)
        step = self._stepper(problem, loss, update)
        return lambda count: timed(lambda: step(x, y), count)

    def _stepper(self, weights: Problem, loss: Callable[..., jax.Array], update: Callable) -> Callable[..., Any]:
        """What makes one step for a batch and returns its loss; or all steps of batches in a row, and their losses."""

        def step(p: Tree, state: Any, *batch: jax.Array) -> tuple:
            error, grads = jax.value_and_grad(loss)(p, *batch)
            return error, *update(p, grads, state)

        def steps(p: Tree, state: Any, *batches: jax.Array) -> tuple:
            def one(carried: tuple, batch: tuple) -> tuple:
                error, *after = step(*carried, *batch)
                return tuple(after), error

            after, errors = lax.scan(one, (p, state), batches)
            return errors, *after

        compiled = jax.jit(steps if self.scan else step, donate_argnums=(0, 1))
        p = {name: jnp.asarray(array) for name, array in weights.items()}
        zeros = [jax.tree.map(jnp.zeros_like, p) for _ in range(2)]
        state = () if update is sgd else (jnp.zeros((), jnp.int32), *zeros)

        def run(*batch: jax.Array) -> Any:
            nonlocal p, state
            error, p, state = compiled(p, state, *batch)
            return np.asarray(error).tolist()

        return run
