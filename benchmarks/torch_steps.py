"""The workloads on PyTorch: eagerly, by `torch.compile`, or, on a GPU, as a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle, pairwise

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy, gelu, linear, relu, rms_norm, scaled_dot_product_attention
from turns import timed, timed_together
from workloads import AT_ONCE, BATCH, DIGITS, LEARNING_RATE, MLP, MOONS, PENALTY, Problem, documents

Run = Callable[[int], tuple[list[float], list[float]]]


class Classifier(nn.Module):
    """An LSTM, and a dense layer on its last step."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.linear = nn.LSTM(28, 64, batch_first=True), nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(self.lstm(x)[0][:, -1])


def make_mlp(sizes: list[int]) -> nn.Sequential:
    modules: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        modules += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*modules[:-1])


class PyTorch:
    """threads: on how many cores; fused: whether the optimizer updates each parameter in a single pass; compiled:
    whether `torch.compile` takes the loss; device: "cpu" or "cuda"; graph: whether steps are recorded once, and
    replayed `AT_ONCE` in a call, which a GPU can. All numbers are float32, also within products of matrices.
    """

    def __init__(
        self, threads: int, fused: bool, compiled: bool = False, device: str = "cpu", graph: bool = False
    ) -> None:
        torch.set_num_threads(threads)
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        self.fused, self.compiled, self.device, self.graph = fused, compiled, device, graph

    def moons(self, problem: Problem, penalty: bool = True) -> Run:
        model = make_mlp(MOONS)
        parameters = list(model.parameters())

        def loss(scores: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            mean = relu(1 - y * scores).mean()
            return mean + PENALTY * sum((p * p).sum() for p in parameters) if penalty else mean

        return self._train(model, problem, torch.optim.SGD, loss)

    def mlp(self, problem: Problem) -> Run:
        return self._train(make_mlp(MLP), problem, torch.optim.Adam)

    def mlp_sgd(self, problem: Problem) -> Run:
        width = problem["x"].shape[1]
        return self._train(make_mlp([width, width, width, 10]), problem, torch.optim.SGD)

    def lenet(self, problem: Problem) -> Run:
        model = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding="same"),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3, padding="same"),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(784, 10),
        )
        return self._train(model, problem, torch.optim.SGD)

    def lstm(self, problem: Problem) -> Run:
        renamed = {name.replace("0.", "lstm.").replace("2.", "linear."): array for name, array in problem.items()}
        return self._train(Classifier(), renamed, torch.optim.Adam)

    def gpt(self, problem: Problem) -> Run:
        from tutorials import microgpt

        batches = [tuple(map(self._tensor, pair)) for pair in documents(problem)]
        p = {name: self._tensor(array).requires_grad_() for name, array in problem.items()}
        optimizer = torch.optim.Adam(p.values(), **microgpt.ADAM, **self._options(torch.optim.Adam))

        def norm(x: torch.Tensor) -> torch.Tensor:
            return rms_norm(x, (microgpt.WIDTH,), eps=1e-5)

        def logits(given: torch.Tensor) -> torch.Tensor:
            x = norm(p["letters.weight"][given] + p["places.weight"][: len(given)])
            rows = linear(norm(x), p["attention.in_proj_weight"]).view(len(given), 3, microgpt.HEADS, -1)
            heads = scaled_dot_product_attention(*rows.permute(1, 2, 0, 3), is_causal=True)
            x = x + linear(heads.transpose(0, 1).reshape(x.shape), p["attention.out_proj.weight"])
            hidden = relu(linear(norm(x), p["mlp.0.weight"]))
            return linear(x + linear(hidden, p["mlp.2.weight"]), p["answer.weight"])

        losses = [lambda g=given, w=wanted: cross_entropy(logits(g), w) for given, wanted in batches]
        if self.graph:
            return self._replays(losses, optimizer)
        following = cycle(losses)
        return lambda count: timed(lambda: self._step(next(following), optimizer), count)

    def digits(self, problem: Problem) -> Run:
        x, y, model, optimizer = self._begin(make_mlp(DIGITS), problem, torch.optim.Adam)
        random = np.random.default_rng(0)

        def epoch() -> float:
            total, losses = 0.0, []
            for rows in torch.from_numpy(random.permutation(len(x))).split(BATCH):
                losses.append(self._step(lambda rows=rows: cross_entropy(model(x[rows]), y[rows]), optimizer))
                total += losses[-1] * len(rows)
            return total / len(x)

        return lambda count: timed(epoch, count)

    def elementwise(self, problem: Problem, name: str) -> Run:
        x = torch.from_numpy(problem["x"])
        function = gelu if name == "gelu" else getattr(torch, name)

        def run(count: int) -> tuple[list[float], list[float]]:
            with torch.no_grad():
                return function(x)[:count].tolist(), timed(lambda: function(x) is None, count)[1]

        return run

    def _begin(self, model: nn.Module, problem: Problem, kind: type) -> tuple:
        arrays = {name: self._tensor(array) for name, array in problem.items()}
        x, y = arrays.pop("x"), arrays.pop("y")
        model.load_state_dict(arrays)
        model.to(self.device)
        return x, y, model, kind(model.parameters(), lr=LEARNING_RATE[kind.__name__], **self._options(kind))

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(self.device)

    def _options(self, kind: type) -> dict[str, bool]:
        """Of an optimizer. One with a count of its steps, as Adam, has to keep that on the GPU for a graph."""
        options = {"fused": True} if self.fused else {}
        return options | ({"capturable": True} if self.graph and kind is torch.optim.Adam else {})

    def _train(self, model: nn.Module, problem: Problem, kind: type, loss: Callable = cross_entropy) -> Run:
        x, y, model, optimizer = self._begin(model, problem, kind)

        def whole() -> torch.Tensor:
            return loss(model(x), y)

        if self.graph:
            return self._replays([whole], optimizer)
        if self.compiled:
            whole = torch.compile(whole)
        return lambda count: timed(lambda: self._step(whole, optimizer), count)

    def _step(self, loss: Callable[[], torch.Tensor], optimizer: torch.optim.Optimizer) -> float:
        error = loss()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        return error.item()

    def _replays(self, losses: list[Callable[[], torch.Tensor]], optimizer: torch.optim.Optimizer) -> Run:
        """Steps as CUDA graphs, one for each of the losses, which take turns."""
        recorded = cycle(_recorded(losses, optimizer))

        def replay(count: int) -> list[float]:
            found = torch.empty(count, device=self.device)
            for place in range(count):
                graph, loss = next(recorded)
                graph.replay()
                found[place].copy_(loss)
            return found.tolist()

        return lambda count: timed_together(replay, count, AT_ONCE)


def _recorded(losses: list[Callable[[], torch.Tensor]], optimizer: torch.optim.Optimizer) -> list[tuple]:
    """A graph of a step for each loss, and its result; parameters and optimizer are as before.

    Steps that are not recorded have to go before, on a stream of their own, so that all memory is there.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    before, graphs = [p.detach().clone() for p in parameters], []
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for loss in losses * 3:
            optimizer.zero_grad()
            loss().backward()
            optimizer.step()
    torch.cuda.current_stream().wait_stream(aside)
    for loss in losses:
        optimizer.zero_grad()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            error = loss()
            error.backward()
            optimizer.step()
        graphs.append((graph, error.detach()))
    with torch.no_grad():
        for p, first in zip(parameters, before, strict=True):
            p.copy_(first)
        for state in optimizer.state.values():
            for tensor in state.values():
                if isinstance(tensor, torch.Tensor):
                    tensor.zero_()
    return graphs
