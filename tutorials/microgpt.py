"""The network of lesson 22 as Values, and compiled to tapes: what lesson 25 trains, and benchmarks/tape_steps.py times.

Its shape is that of microgpt, Andrej Karpathy's GPT in 200 lines of plain Python, with a window of 8 letters: 4,064
numbers. One document, here a name, is one step.
"""

import numpy as np

import fast
import micro
import nn

ALPHABET, WINDOW, WIDTH, HEADS = ".abcdefghijklmnopqrstuvwxyz", 8, 16, 4
#: Adam's settings: microgpt's, but for a learning rate that stays as it is.
ADAM = {"lr": 0.01, "betas": (0.85, 0.99)}


def tasks(name):
    """The letters of a name before each task, and the letter that comes: two lists of up to 8 numbers."""
    tokens = [ALPHABET.index(letter) for letter in f".{name}."][: WINDOW + 1]
    return tokens[:-1], tokens[1:]


class GPT(nn.Module):
    """Tokens (N, L), L up to 8, to logits (N, L, 27) of what comes after each of them."""

    def __init__(self, engine, seed=0, dtype=None):
        super().__init__()
        shared = {"engine": engine, "seed": np.random.default_rng(seed), "dtype": dtype}
        self.letters = nn.Embedding(len(ALPHABET), WIDTH, **shared)
        self.places = nn.Embedding(WINDOW, WIDTH, **shared)
        self.norm = nn.RMSNorm(WIDTH, eps=1e-5, elementwise_affine=False, engine=engine)
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, bias=False, **shared)
        self.mlp = nn.Sequential(
            nn.Linear(WIDTH, 4 * WIDTH, bias=False, **shared),
            nn.ReLU(),
            nn.Linear(4 * WIDTH, WIDTH, bias=False, **shared),
        )
        self.answer = nn.Linear(WIDTH, len(ALPHABET), bias=False, **shared)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.08, seed=shared["seed"])

    def forward(self, tokens):
        return self.read(self.letters(tokens))

    def read(self, letters):
        """`forward` from the rows of the letters on, (N, L, 16)."""
        places = letters.engine.tensor(np.arange(letters.shape[1]))
        x = self.norm(letters + self.places(places))
        x = x + self.attention(self.norm(x), is_causal=True)
        x = x + self.mlp(self.norm(x))
        return self.answer(x)


def stepper(model):
    """A function that trains a model by one step on one name and returns the loss, on either engine."""
    engine, optimizer = model.answer.weight.engine, nn.Adam(model.parameters(), **ADAM)

    def step(name):
        given, wanted = tasks(name)
        logits = model(engine.tensor([given]))
        loss = nn.cross_entropy(logits.reshape(-1, len(ALPHABET)), engine.tensor(wanted))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def make_tape(model, length):
    """The loss of a name with so many tasks, as a tape.

    model: on `micro`. Inputs: the rows of the letters, and for each task 27 numbers, 1 at the letter that comes and 0
    elsewhere. Parameters: those of the model, the table of letters aside.
    """
    letters, wanted = micro.zeros(1, length, WIDTH), micro.zeros(length, len(ALPHABET))
    logits = model.read(letters).reshape(length, -1)
    loss = -(logits.log_softmax(-1) * wanted).sum(-1).mean()
    return fast.compile(loss, inputs=[letters, wanted], parameters=model.parameters()[1:])


class CompiledGPT:
    """The training of a GPT of `micro`, compiled: a tape for each length of names, made when the first of them comes.

    numbers: all parameters in a row, as `model.parameters()` has them: the table of letters, then what the tapes share.
    """

    def __init__(self, model):
        self.model, self.tapes = model, {}
        self.numbers = fast.tensor(np.concatenate([np.ravel(p) for p in model.parameters()]), "float64")
        self.optimizer = nn.Adam([self.numbers], **ADAM)
        self.split = len(ALPHABET) * WIDTH

    def step(self, name):
        """Train on one name, and return its loss before that."""
        given, wanted = tasks(name)
        length, numbers, gradient = len(given), self.numbers.data, np.zeros(self.numbers.shape)
        if length not in self.tapes:
            self.tapes[length] = make_tape(self.model, length)
        letters, grad_letters = (array[: self.split].reshape(-1, WIDTH) for array in (numbers, gradient))
        rows, targets = letters[given].reshape(1, -1), np.eye(len(ALPHABET))[wanted].reshape(1, -1)
        run = self.tapes[length].run(rows, targets, parameters=numbers[self.split :])
        gradient[self.split :] = run.gradients
        np.add.at(grad_letters, given, run.input_gradients[0, : rows.size].reshape(-1, WIDTH))
        self.numbers.grad = fast.tensor(gradient)
        self.optimizer.step()
        return run.values.item()
