# %% [markdown]
# # A language model
#
# Programs that write text do one thing, over and over: they look at what is there, and guess what comes next. This
# lesson builds one from the layers of `nn`, with every part of the large ones: embeddings, positions, attention,
# normalisation, a small network, and sampling. It has 4,064 numbers instead of billions, guesses letters instead of
# pieces of words, and learns given names. Its shape is that of microgpt, Andrej Karpathy's GPT in 200 lines of plain
# Python: 16 wide, 4 heads, one layer; only its window is shorter, 8 tokens instead of 16.
#
# Run it with `.venv/bin/python tutorials/22_language_model.py`, or cell by cell. `--long` trains eight times as long;
# `--engine micro` trains on a few names only, number by number in plain Python, too few for most of what is claimed.

# %%
import argparse
import math
import time
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numba
import numpy as np

import fast
import micro
import nn

parser = argparse.ArgumentParser(description="A language model.")
parser.add_argument("--figures", type=Path, default=Path("out"), help="folder for the pictures (default: out)")
parser.add_argument("--engine", choices=["fast", "micro"], default="fast", help="micro trains on a few names only")
parser.add_argument("--long", action="store_true", help="train for 40 epochs instead of 5")
arguments = parser.parse_known_args()[0]
figures, engine = arguments.figures, {"fast": fast, "micro": micro}[arguments.engine]
figures.mkdir(parents=True, exist_ok=True)
style = {"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3}
matplotlib.rcParams.update(style | {"legend.frameon": False, "svg.hashsalt": "twograd"})  # same picture, same file
started = time.perf_counter()
numba.set_num_threads(1)  # so little work for each call is not worth waiting for a second core that may be busy
BLUE, ORANGE = "#0072B2", "#D55E00"
full = engine is fast  # what is claimed of a trained network needs the full training
amount, batch, epochs = (None, 64, 40 if arguments.long else 5) if full else (12, 1, 1)  # None: all names
count, tested = (1000, 3000) if full else (3, 8)  # names that are invented, and names held out

# %% [markdown]
# ## 1. Letters and guesses
#
# The data are 29,494 different given names (tutorials/data/README.md says from where). The file has 32,032, since some
# are there twice; a name that is both among those to learn from and among those to test with would make the test too
# easy, so doubles go first. Then 3,000 names, drawn at random, are held out.
#
# A network computes with numbers, so each letter becomes one, its place in the alphabet: a **token**. A dot, number 0,
# marks where a name begins and where it ends. The name *emma* is five tasks: after `.` comes e, after `.e` comes m,
# after `.em` comes m, after `.emm` comes a, and after `.emma` comes the dot. The window is 8 tokens, so of names with
# 8 letters or more only the first 8 letters are tasks. Shorter rows are filled up, and a target of -1 says: no task.
#
# The loss is cross-entropy (lesson 5): minus the logarithm of the probability that was given to the letter that came.
# The yardsticks, before any network:
#
# - **All alike**: each of 27 tokens has a probability of 1/27. The loss is log 27 = 3.296.
# - **Frequencies**: how often each letter comes at all.
# - **Pairs** (a bigram model): how often each letter comes after the last one, counted in a table of 27 × 27.
# - **Triples**: after the last two, 27 × 27 × 27, and so on. Tables grow by a factor of 27 with each letter of memory,
#   and soon most of what they have a place for has never been seen. (So that nothing is impossible, 0.1 is added to
#   each count.)
#
# You should see that each further letter of memory lowers the loss, while the tables become large and empty.

# %%
path = Path(__file__).parent / "data" / "names.txt"
names = list(dict.fromkeys(path.read_text().split()))  # each once
np.random.default_rng(0).shuffle(names)
alphabet, block = ".abcdefghijklmnopqrstuvwxyz", 8


def as_tokens(names):
    """The letters before each task and the letter that comes, (names, block) each; -1 where there is no task."""
    given, wanted = np.zeros((len(names), block), int), np.full((len(names), block), -1)
    for row, name in enumerate(names):
        tokens = [alphabet.index(letter) for letter in f".{name}."]
        tasks = min(block, len(tokens) - 1)
        given[row, :tasks], wanted[row, :tasks] = tokens[:tasks], tokens[1 : tasks + 1]
    return given, wanted


def by_counting(memory):
    """A table of what comes after the last `memory` letters: its loss on names held out, and the share never seen."""

    def places(given, wanted):
        """Where in the table each task belongs: the letters before it, the last one first, and the one that comes."""
        earlier = np.pad(given, ((0, 0), (block, 0)))  # dots before the beginning
        columns = [earlier[:, block - back : 2 * block - back] for back in range(memory)]
        return *[column[wanted >= 0] for column in columns], wanted[wanted >= 0]

    counts = np.zeros((27,) * (memory + 1))
    np.add.at(counts, places(x_train, y_train), 1)
    probabilities = (counts + 0.1) / (counts + 0.1).sum(axis=-1, keepdims=True)
    return float(-np.log(probabilities[places(x_test, y_test)]).mean()), float((counts == 0).mean())


(x_train, y_train), (x_test, y_test) = as_tokens(names[:-3000]), as_tokens(names[-3000:])
tables = {"frequencies": 0, "pairs": 1, "triples": 2, "fours": 3}  # and how many letters they remember
baselines, unseen = {"all alike": math.log(27)}, {}
for name, memory in tables.items():
    baselines[name], unseen[name] = by_counting(memory)
tasks = (y_train >= 0).sum()
print(f"1. {len(names):,} different names, such as {', '.join(names[:5])}; {tasks:,} tasks to learn from")
print(f"   {'loss on 3,000 names held out':32}  {'loss':>6}  {'numbers':>8}  {'never seen':>10}")
print(f"   {'all alike':32}  {baselines['all alike']:6.3f}")
for name, memory in tables.items():
    print(f"   {name:32}  {baselines[name]:6.3f}  {27 ** (memory + 1):8,}  {unseen[name]:10.1%}")
assert len(names) == 29_494
assert abs(baselines["all alike"] - 3.296) < 0.001
assert np.all(np.diff(list(baselines.values())) < 0)
assert unseen["pairs"] < 0.25 < 0.5 < unseen["triples"] < unseen["fours"]

# %% [markdown]
# ## 2. The network
#
# It reads the tokens of a name, and at each place says what it takes for the next. From top to bottom of `forward`:
#
# - **Embedding**: each of 27 tokens has a row of 16 numbers, learned like any weight. It begins at random; what
#   the numbers mean is the network's affair.
# - **Positions**: attention, below, goes by what the rows contain, not by where they stand. So each of the 8 places has
#   a row of 16 numbers, too, and both rows are added.
# - **RMS norm**: the row is divided by the root of the mean of its squares, so that its size stays about 1.
# - **Attention**: here, and only here, the places look at each other. From each row three more are computed, by a
#   matrix of weights each: a query (what am I looking for?), a key (what have I got?) and a value (what do I tell?).
#   The query of a place and the key of a place that it looks at, multiplied number by number and added up, make a
#   score. A softmax turns the scores into weights that add up to 1, and what a place receives is the mean of the values
#   with these weights. **Causal** means that it looks only at itself and at what came before: what comes after is what
#   it is to guess. Four **heads** do this side by side, each with 4 of the 16 numbers; the scores are divided by the
#   root of these 4, or they would grow with the number of summands. A last matrix mixes what the heads have found.
# - **MLP**: a network 16-64-16 with ReLU thinks over, at each place by itself, what was gathered.
# - **Residual connections**: attention and MLP do not replace the row but add to it, so that slopes reach the
#   embeddings undiminished (`nn.Residual` is a layer for that; a plus sign does, too).
# - A last linear layer gives a logit for each of the 27 tokens.
#
# As in microgpt there are no biases, the norms have no weights, and all begins with normal numbers of standard
# deviation 0.08. Then the first answers are nearly the same for all tokens, and the first loss is close to log 27: it
# knows nothing, and does not pretend to.
#
# Is it causal? The test: change the last letters of a name, and see whether an answer before them changes.

# %%
width, heads = 16, 4


class GPT(nn.Module):
    """Tokens (N, L), L up to 8, to logits (N, L, 27) of what comes after each of them."""

    def __init__(self, engine, seed=0, dtype=None):
        super().__init__()
        shared = {"engine": engine, "seed": np.random.default_rng(seed), "dtype": dtype}
        self.letters = nn.Embedding(27, width, **shared)
        self.places = nn.Embedding(block, width, **shared)
        self.norm = nn.RMSNorm(width, eps=1e-5, elementwise_affine=False, engine=engine)
        self.attention = nn.MultiheadAttention(width, heads, bias=False, **shared)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width, bias=False, **shared),
            nn.ReLU(),
            nn.Linear(4 * width, width, bias=False, **shared),
        )
        self.answer = nn.Linear(width, 27, bias=False, **shared)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.08, seed=shared["seed"])

    def forward(self, tokens):
        places = tokens.engine.tensor(np.arange(tokens.shape[1]))
        x = self.norm(self.letters(tokens) + self.places(places))
        x = x + self.attention(self.norm(x), is_causal=True)
        x = x + self.mlp(self.norm(x))
        return self.answer(x)


def next_letter_loss(logits, wanted):
    """The mean cross-entropy over all tasks; places with a target of -1 are none, and count 0."""
    wanted = np.asarray(wanted).ravel()
    tasks = wanted >= 0
    labels = logits.engine.as_tensor(np.where(tasks, wanted, 0))
    return nn.cross_entropy(logits.reshape(-1, 27), labels, sample_weight=tasks / tasks.mean())


def loss_on(model, x, y):
    """The loss on all of these names, without training."""
    with model.answer.weight.engine.no_grad():
        return next_letter_loss(model.answer.weight.engine.tensor(nn.predict(model, x)), y).item()


untrained = GPT(engine)
held_out = x_test[:tested], y_test[:tested]
first_loss = loss_on(untrained, *held_out)
parameters = sum(np.size(array) for array in untrained.state_dict().values())
one, other = (nn.predict(untrained, as_tokens([name])[0])[0] for name in ("marians", "mariabc"))
same = [bool(np.allclose(p, q, rtol=0, atol=1e-6)) for p, q in zip(one, other, strict=True)]
print(f"\n2. The network has {parameters:,} parameters; its loss before training is {first_loss:.3f}")
print(f"   marians and mariabc: the same answers after {sum(same)} of 8 tokens, those of .maria")
assert parameters == 4064
assert abs(first_loss - math.log(27)) < 0.15
assert same == [True] * 6 + [False] * 2

# %% [markdown]
# ## 3. The same on both engines
#
# microgpt shows that nothing is hidden: every number is a Value that knows where it came from, as in `micro`. Here the
# network is trained on Values, one name a step, by the four steps of lesson 4, and in `fast` from the same first
# weights. The losses are equal in all digits shown, so what `fast` does is nothing else, only faster.


# %%
def five_steps(engine):
    """The losses of five steps of training with one name each, and the seconds that a step takes."""
    model, losses = GPT(engine, dtype="float64"), []
    optimizer = nn.Adam(model.parameters(), lr=0.01, betas=(0.85, 0.99))
    before = time.perf_counter()
    for row in range(5):
        logits = model(engine.tensor(x_train[row : row + 1]))  # 1. forward
        loss = next_letter_loss(logits, y_train[row : row + 1])  # 2. loss
        optimizer.zero_grad()
        loss.backward()  # 3. backward
        optimizer.step()  # 4. update
        losses.append(loss.item())
    return losses, (time.perf_counter() - before) / 5


five_steps(fast)  # the first run loads the compiled kernels, and should not count
(quick, quick_seconds), (slow, slow_seconds) = five_steps(fast), five_steps(micro)
print("\n3. Five steps, one name each, on both engines, from the same seed")
for name, p, q in zip(names, slow, quick, strict=False):
    print(f"   {name:10}  micro {p:.12f}  fast {q:.12f}")
difference = np.abs(np.subtract(slow, quick)).max()
print(f"   largest difference {difference:.0e}", end="")
print(f"; a step takes {1000 * slow_seconds:.0f} ms on micro and {1000 * quick_seconds:.2f} ms on fast")
assert difference < 1e-9
assert quick_seconds < slow_seconds

# %% [markdown]
# ## 4. Training
#
# Now in earnest: 26,494 names, batches of 64, five epochs, Adam, with a learning rate that falls along a cosine.
#
# After the first epoch the network is already far below the table of pairs, which has fewer numbers, and after
# five it is below the table of triples, which has nearly five times as many. It does not need a place for each
# combination, since similar letters can share what is learned about them. The table of fours, with half a million
# numbers, is still a little better; with `--long`, 40 epochs, the network passes it (2.11 against 2.13). A loss of
# 2.15 means: exp(2.15) is about 8.6, so on average it is as unsure as between 8.6 equally likely letters, not 27.
#
# Nothing comes close to 0, nor can it: nobody can know what comes after `.ma`. What remains is in the names themselves.
#
# ![Loss against epochs, with those of counting](../docs/names_loss.svg)

# %%
model = GPT(engine)
optimizer = nn.Adam(model.parameters(), lr=0.01, betas=(0.85, 0.99))
history = nn.fit(
    model,
    (x_train[:amount], y_train[:amount]),
    next_letter_loss,
    optimizer,
    epochs,
    batch,
    validation=held_out,
    callbacks=[nn.Schedule(nn.CosineAnnealingLR(optimizer, epochs))],
)
last_loss = loss_on(model, *held_out)
print(f"\n4. Training: {len(history.step_loss):,} steps in {sum(history.seconds):.0f} s")
print(f"   loss on names held out: {first_loss:.3f} before, {history.validation_loss[0]:.3f} after an epoch,", end=" ")
print(f"{last_loss:.3f} at the end: as unsure as between {math.exp(last_loss):.1f} letters")
if full:
    assert history.validation_loss[0] < baselines["pairs"] - 0.1
    assert last_loss < baselines["triples"] - 0.04
    assert (last_loss < baselines["fours"]) == arguments.long
    assert math.isclose(math.exp(last_loss), 8.6, abs_tol=0.3) or arguments.long
else:
    assert np.mean(history.step_loss[-4:]) < np.mean(history.step_loss[:4])

_, ax = plt.subplots(figsize=(8, 4), layout="constrained")
smooth = np.convolve(history.step_loss, np.ones(50) / 50, mode="valid") if full else np.array(history.step_loss)
ends = (np.arange(len(smooth)) + len(history.step_loss) - len(smooth) + 1) * epochs / len(history.step_loss)
ax.plot(ends, smooth, color="#9ca3af", linewidth=1, label="training, mean of 50 steps" if full else "training")
validation = [first_loss, *history.validation_loss]
ax.plot(range(epochs + 1), validation, "o-", color=BLUE, markersize=4, clip_on=False, label="names held out")
for name, loss in baselines.items():
    ax.axhline(loss, color=ORANGE, linewidth=1, linestyle="--")
    ax.text(epochs * 1.02, loss, name, va="center", color=ORANGE)
ax.set(xlabel="epoch", ylabel="loss", title="What comes next? The network against counting", xlim=(0, epochs))
ax.legend(loc="upper right", bbox_to_anchor=(1, 0.85))
ax.figure.savefig(figures / "names_loss.svg", metadata={"Date": None})

# %% [markdown]
# ## 5. Inventing names
#
# To write, the network is asked what comes after the dot, one letter is drawn according to its probabilities, put
# behind, and so on until a dot is drawn (or the window is full, which is why no invented name has more than 8 letters).
#
# Before the softmax, the logits are divided by the **temperature**. At 1, the probabilities are those learned. Below 1
# they become more extreme: likely letters are drawn still more often; the names are more common, and alike. Above 1
# they come closer to each other, until at very high temperatures all letters are equally likely. So it is a dial
# between safe and adventurous, and it can be turned after training. The table counts, among 1,000 names, how many are
# in the file, and how many are different. (A hyphen stands for a name without letters: the dot was drawn at once.)


# %%
def invent(model, count, temperature=1.0, seed=0):
    """`count` names, drawn letter by letter."""
    random, tokens = np.random.default_rng(seed), np.zeros((count, 1), int)
    for _ in range(block):
        logits = nn.predict(model, tokens)[:, -1].astype(float) / temperature
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares = np.cumsum(powers, axis=1) / powers.sum(axis=1, keepdims=True)
        drawn = (shares < random.random((count, 1))).sum(axis=1, keepdims=True)  # in which share the number falls
        tokens = np.hstack([tokens, np.minimum(drawn, 26)])
    return ["".join(alphabet[token] for token in row).split(".")[1] for row in tokens]


print(f"\n5. Invented names\n   {'':25}  {'in the file':>11}  {'different':>9}  examples")
known, real, different = set(names), {}, {}
temperatures = (0.5, 1.0, 2.0) if full else (0.5,)
trials = {"before training": (untrained, 1.0)} | {f"temperature {t:g}": (model, t) for t in temperatures}
for name, (writer, temperature) in trials.items():
    invented = invent(writer, count, temperature)
    real[name] = np.mean([word in known for word in invented])
    different[name] = len(set(invented)) / count
    examples = ", ".join(word or "-" for word in invented[:7])
    print(f"   {name:25}  {real[name]:11.1%}  {different[name]:9.1%}  {examples}")
if full:
    assert real["before training"] < 0.03
    assert real["temperature 0.5"] > 2 * real["temperature 1"] > 4 * real["temperature 2"]
    assert different["temperature 0.5"] < different["temperature 1"] - 0.03

# %% [markdown]
# ## 6. What it looks at
#
# The weights of attention can be looked at. Below they are computed once more by hand, from the weights of the
# layer and the rows that went into it (`nn.record_activations` has kept those), and checked: with them the result is
# what the layer gave. Each row of a picture is a place that looks, each column a place that is looked at, and each row
# adds up to 1. Above the diagonal there is nothing: that is the future.
#
# Nobody told the heads what to look for. The table has the mean weights of four places, over all tasks from the fourth
# token on, where these are four different ones. On average over all heads, the letter one back gets the most: more than
# the last letter itself, which the residual connection hands on anyway. But no head looks at one place only, and where
# it looks depends on the letters, too: from one name to another the weights change a lot.
#
# ![The attention of four heads in one name](../docs/attention.png)


# %%
def attention_weights(model, x):
    """(N, heads, L, L): how much each place takes from each, in each head."""
    outputs = nn.record_activations(model, x).outputs
    rows = outputs["norm RMSNorm (2)"].astype(float)  # what the second norm gave, which attention has read
    layer = model.attention
    projected = np.split(rows @ np.array(layer.in_proj_weight, float).T, 3, axis=-1)
    query, key, value = (part.reshape(*x.shape, heads, -1).swapaxes(1, 2) for part in projected)
    scores = query @ key.swapaxes(2, 3) / math.sqrt(width / heads)
    powers = np.exp(np.where(np.tri(x.shape[1], dtype=bool), scores, -np.inf))  # exp(-inf) is 0
    weights = powers / powers.sum(axis=-1, keepdims=True)
    gathered = (weights @ value).swapaxes(1, 2).reshape(rows.shape) @ np.array(layer.out_proj.weight, float).T
    assert np.allclose(gathered, outputs["attention MultiheadAttention"], atol=1e-4)
    return weights


weights = attention_weights(model, held_out[0])
assert np.allclose(weights.sum(axis=-1), 1)
assert np.all(np.triu(weights, 1) == 0)
print("\n6. Where the heads look, on average over the names held out, from the fourth token on")
print(f"   {'':9}  {'itself':>6}  {'one back':>8}  {'two back':>8}  {'first dot':>9}")
later = [(name, place) for name, place in np.argwhere(held_out[1] >= 0) if place >= 3]
looked = np.array([weights[n][:, [p, p, p, p], [p, p - 1, p - 2, 0]] for n, p in later])  # (tasks, heads, 4)
looks = looked.mean(axis=0)
for name, shares in [(f"head {head + 1}", looks[head]) for head in range(heads)] + [("all heads", looks.mean(axis=0))]:
    itself, one_back, two_back, dot = shares
    print(f"   {name:9}  {itself:6.0%}  {one_back:8.0%}  {two_back:8.0%}  {dot:9.0%}")
if full:
    assert looks.mean(axis=0).argmax() == 1
    assert looks.max() < 0.9
    assert looked.std(axis=0)[:, 1].min() > 0.1

name = "gabriel"
figure, axes = plt.subplots(1, heads, figsize=(10, 3), layout="constrained")
for head, ax in enumerate(axes):
    image = ax.imshow(attention_weights(model, as_tokens([name])[0])[0, head], cmap="Blues", vmin=0, vmax=1)
    ax.set(xticks=range(block), xticklabels=f".{name}", yticks=range(block), yticklabels=f".{name}")
    ax.set_title(f"head {head + 1}")
    ax.grid(False)
axes[0].set_ylabel("the place that looks")
axes[0].set_xlabel("the place looked at")
figure.colorbar(image, ax=axes, label="weight", shrink=0.7)
figure.savefig(figures / "attention.png", dpi=90)

# %%
print(f"\n7. All done in {time.perf_counter() - started:.0f} s. The pictures:")
for name in ("names_loss.svg", "attention.png"):
    print(f"   {figures / name}")

# %% [markdown]
# **Try:** `--long`. A second layer of attention and MLP (an `nn.ModuleList` of blocks): how much does the loss fall? No
# positions: which of the four looks of section 6 are then impossible, and what becomes of the loss? `invent` with names
# that begin with your own first letters instead of the dot alone. Assertions hold for the settings above; run your
# variants with `python -O`, which leaves them out.
