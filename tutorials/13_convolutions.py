# %% [markdown]
# # Convolutions
#
# To the networks so far an image was a list of numbers. Which pixel lies beside which they were never told, and a three
# that is moved by one pixel was something new to them. A **convolution** looks at an image through a small window, asks
# the same question at every place, and gives an image of the answers. So it knows about neighbours, and what it has
# learned at one place it can do at all. This lesson computes one by hand, then compares a network of convolutions with
# one of dense layers, with as many parameters, on digits at their place and on digits that are moved; and it looks for
# what the comparison depends on. Run it with `.venv/bin/python tutorials/13_convolutions.py`, or cell by cell. (With
# `--engine micro` sections 4 to 6 run at a tiny size, which shows that they run, but none of their results.)

# %%
import argparse
import time
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numba
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import fast
import micro
import nn

parser = argparse.ArgumentParser(description="Convolutions.")
parser.add_argument("--figures", type=Path, default=Path("out"), help="folder for the pictures (default: out)")
parser.add_argument("--engine", choices=["fast", "micro"], default="fast", help="micro: tiny (default: fast)")
arguments = parser.parse_known_args()[0]
figures, engine = arguments.figures, {"fast": fast, "micro": micro}[arguments.engine]
full_size = engine is fast  # what is claimed of trainings holds at full size alone
figures.mkdir(parents=True, exist_ok=True)
style = {"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3}
matplotlib.rcParams.update(style | {"legend.frameon": False, "svg.hashsalt": "twograd"})  # same picture, same file
numba.set_num_threads(1)  # so little work for each call is not worth waiting for a second core that may be busy
started = time.perf_counter()
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#6b7280"

# %% [markdown]
# ## 1. By hand
#
# An image of 5 × 6 pixels, dark (0) on the left and bright (1) on the right. A window of 3 × 3 numbers, the **filter**
# or kernel: -1 in its left column, 0 in the middle, +1 on the right. Lay it on the image at the top left, multiply each
# number of the filter by the pixel below, and add the nine products: one number. Move it one pixel to the right, and so
# on: the **feature map**. Where the image is even, left and right cancel, and the answer is 0. At the border between
# dark and bright it is 3: this filter asks "does it get brighter here, from left to right?".
#
# That is all. (Mathematicians call this a cross-correlation, and first turn the filter by 180 degrees for what they
# call a convolution. Since the numbers are learned, it makes no difference.) A 3 × 3 window fits 3 × 4 times into 5 × 6
# pixels; a frame of zeros around the image, one pixel wide, keeps the size: **padding**. In the picture the first two
# places of the window are framed, and the answers that it gives there.
#
# On `micro` every answer is a Value with its history, nine products. So the four steps of training work as ever:
# the slope of the loss for one number of the filter is a sum over all places where it was used. That is what **shared
# weights** means.
#
# ![An image, a filter, and the feature map](../docs/convolution_by_hand.svg)

# %%
image = [[0.0, 0.0, 0.0, 1.0, 1.0, 1.0] for _ in range(5)]
window = [[-1.0, 0.0, 1.0] for _ in range(3)]


def by_hand(image, window):
    """Slide the window over the image; at each place, the sum of the products."""
    high, wide = len(window), len(window[0])
    return [
        [
            sum(window[a][b] * image[i + a][j + b] for a in range(high) for b in range(wide))
            for j in range(len(image[0]) - wide + 1)
        ]
        for i in range(len(image) - high + 1)
    ]


map_by_hand = by_hand(image, window)
print("1. An edge, seen through a 3 x 3 window: the feature map")
for row in map_by_hand:
    print("  ", " ".join(f"{number:4g}" for number in row))
assert map_by_hand == [[0, 3, 3, 0]] * 3

for library in (micro, fast):
    filters = library.tensor([[window]], dtype="float64", requires_grad=True)  # (filters, channels, rows, columns)
    answers = library.functional.conv2d(library.tensor([[image]], dtype="float64"), filters)
    answers.sum().backward()
    assert answers.tolist() == [[map_by_hand]]
    # each number of the filter has met the pixels of a part of the image, 3 x 4 of them, and its slope is their sum
    met = [[sum(image[i + a][j + b] for i in range(3) for j in range(4)) for b in range(3)] for a in range(3)]
    assert np.allclose(np.array(filters.grad), met)
print("   the slope of the sum of all answers with respect to each number of the filter:")
for row in met:
    print("  ", " ".join(f"{number:4g}" for number in row))


def show(ax, numbers, title, colours="gray", low=None, high=None):
    """Numbers as an image, each written into its square."""
    numbers = np.array(numbers)
    picture = ax.imshow(numbers, cmap=colours, vmin=low, vmax=high)
    for (i, j), number in np.ndenumerate(numbers):
        shade = picture.cmap(picture.norm(number))[:3]
        ax.text(j, i, f"{number:g}", ha="center", va="center", color="black" if sum(shade) > 1.5 else "white")
    ax.set_title(title)
    ax.set_axis_off()


figure, axes = plt.subplots(1, 3, figsize=(9, 3.7), layout="constrained", width_ratios=[6, 3, 4])
show(axes[0], image, "image, 5 × 6", low=-0.3, high=1.2)
show(axes[1], window, "filter, 3 × 3", "RdBu", -1.5, 1.5)
show(axes[2], map_by_hand, "feature map, 3 × 4", "viridis", 0, 3)
for left, colour in ((1, ORANGE), (0, BLUE)):  # the first two places of the window
    axes[0].add_patch(plt.Rectangle((left - 0.46, -0.46), 2.92, 2.92, fill=False, color=colour, linewidth=3))
    axes[2].add_patch(plt.Rectangle((left - 0.46, -0.46), 0.92, 0.92, fill=False, color=colour, linewidth=3))
figure.savefig(figures / "convolution_by_hand.svg", metadata={"Date": None})

# %% [markdown]
# ## 2. What moves in moves out
#
# If the image moves, the feature map moves with it and is otherwise the same: the convolution is **equivariant**. A
# dense layer knows nothing of the kind. **Pooling** then makes the map smaller: of each 2 × 2 answers only the largest
# is kept (max pooling). So the network sees less of *where* and keeps *whether*: an answer that moves within its window
# leaves the pooled map as it is. One that moves across the border between two windows does not.
#
# The data are the digits of lesson 4, 8 × 8 pixels, each in a frame of two zeros all around, so that they can be moved
# by two pixels without losing anything. Ten of them are moved by one pixel to the right, with eight random filters and
# ReLU. The change is the length of the difference, as a share of the length before (all numbers as one long vector).
# What you should see: each pooling takes something away from the change, and none takes all.

# %%
images, digits = load_digits(return_X_y=True)
framed = np.pad(images.reshape(-1, 1, 8, 8) / 16, [(0, 0), (0, 0), (2, 2), (2, 2)])
filters = engine.tensor(np.random.default_rng(0).normal(size=(8, 1, 3, 3)), dtype="float64")


def stages(x):
    """The images, their feature maps, and these pooled once and twice."""
    maps = engine.functional.conv2d(engine.tensor(x, dtype="float64"), filters, padding=1).relu()
    once = engine.functional.max_pool2d(maps, 2)
    twice = engine.functional.max_pool2d(once, 2)
    return {"image": x, "feature maps": np.array(maps), "pooled": np.array(once), "pooled twice": np.array(twice)}


before, after, changes = stages(framed[:10]), stages(np.roll(framed[:10], 1, axis=3)), {}
assert np.allclose(after["feature maps"], np.roll(before["feature maps"], 1, axis=3))
print("\n2. Ten digits moved by one pixel: by how much the numbers of each stage change")
for name in before:
    changes[name] = np.linalg.norm(after[name] - before[name]) / np.linalg.norm(before[name])
    print(f"   {name:12}  {changes[name]:4.0%}")
assert changes["feature maps"] - 0.05 > changes["pooled"] > changes["pooled twice"] + 0.02
assert changes["pooled twice"] > 0.2

# %% [markdown]
# ## 3. Counting parameters
#
# A dense layer from 12 × 12 pixels to 8 maps of the same size would have a weight for every pair of an input and an
# output. A convolution has one small filter for each map, used everywhere.

# %%
convolution = nn.Conv2d(1, 8, kernel_size=3, padding=1, engine=engine, seed=0)
pixels = 12 * 12


def count(model):
    """How many numbers the model can learn."""
    return sum(np.array(parameter).size for parameter in model.parameters())


dense_count = pixels * (8 * pixels) + 8 * pixels
print("\n3. Parameters from 12 x 12 pixels to 8 maps of 12 x 12 numbers")
print(f"   dense        {dense_count:9,}   {pixels} × {8 * pixels:,} weights and {8 * pixels:,} biases")
print(f"   convolution  {count(convolution):9,}   8 filters of 3 × 3 numbers, each with a bias")
assert count(convolution) == 8 * (3 * 3 + 1) == 80
assert dense_count == 167_040

# %% [markdown]
# ## 4. The same number of parameters
#
# 1,000 of the framed digits to learn from, 797 for the test.
#
# - The **CNN** (convolutional neural network): 8 filters of 3 × 3, ReLU, pooling to 6 × 6; 16 filters of 3 × 3 over
#   those 8 maps, ReLU, pooling to 3 × 3; a dense layer from 16 × 3 × 3 numbers to 10.
# - The **MLP** (multi-layer perceptron): 17 neurons with ReLU and 10 outputs; that is nearly as many parameters.
#
# The same loop trains both: Adam with a rate of 0.01 that falls along a cosine (lesson 12), 15 epochs, three seeds. (Of
# 0.01 and 0.003, which were tried, it is the better one for both; there was no wider search.) The number of parameters
# is the same; the work is not: the CNN uses each of its weights at many places. Then the test images are moved by one
# and by two pixels, up, down, left, right, which neither network has seen in training.
#
# What you should see: at their place both read well, the CNN somewhat better. Moved by one pixel, the MLP loses half of
# its right answers, the CNN a third. So it does better, but it is **not** immune to being moved, though that is
# sometimes said: the feature maps move along, but the dense layer at the end has learned where in them the answers are,
# and pooling twice has not removed all of the *where*.

# %%
x_train, x_test, y_train, y_test = train_test_split(framed, digits, train_size=1000, random_state=0, stratify=digits)
epochs, seeds, maps = (15, range(3), (8, 16)) if full_size else (1, range(1), (2, 2))
if not full_size:
    x_train, y_train, x_test, y_test = x_train[:16], y_train[:16], x_test[:8], y_test[:8]


def cnn(seed):
    first, second = maps
    random = nn.data.generator(seed)
    return nn.Sequential(
        nn.Conv2d(1, first, kernel_size=3, padding=1, engine=engine, seed=random),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(first, second, kernel_size=3, padding=1, engine=engine, seed=random),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(second * 9, 10, engine=engine, seed=random),
    )


def mlp(seed):
    return nn.Sequential(nn.Flatten(), nn.MLP([pixels, 17, 10], "relu", engine=engine, seed=seed))


def train(make_model, x, seed, augment=None, epochs=epochs):
    model = make_model(seed)
    optimizer = nn.Adam(model.parameters(), lr=0.01)
    falling = nn.Schedule(nn.CosineAnnealingLR(optimizer, epochs))
    nn.fit(
        model, (x, y_train), nn.cross_entropy, optimizer, epochs, 32, callbacks=[falling], augment=augment, seed=seed
    )
    return model


def right(model, x):
    """The share of right answers."""
    return nn.evaluate(model, (x, y_test), "accuracy")["accuracy"]


def right_when_moved(model, by, arrange=lambda x: x):
    """The mean share of right answers to images moved down, up, right, left."""
    moves = {(by, 0), (-by, 0), (0, by), (0, -by)}  # by 0, all the same
    return np.mean([right(model, arrange(np.roll(x_test, move, axis=(2, 3)))) for move in moves])


print(f"\n4. Digits: {count(cnn(0)):,} parameters in the CNN, {count(mlp(0)):,} in the MLP; right answers")
print(f"   {'':31}  {'at its place':>12}  {'moved by 1':>10}  {'by 2':>5}   (mean over seeds: {len(seeds)})")
if full_size:
    assert abs(count(cnn(0)) / count(mlp(0)) - 1) < 0.03
networks, shares = {"CNN": cnn, "MLP": mlp}, {}


def compare(title, x, augment=None, arrange=lambda x: x, epochs=epochs):
    """Train both networks in all seeds, and tell how they read; returns those of the first seed."""
    kept = {}
    for name, make_model in networks.items():
        models = [train(make_model, x, seed, augment, epochs) for seed in seeds]
        found = [[right_when_moved(model, by, arrange) for by in (0, 1, 2)] for model in models]
        shares[name, title] = row = np.mean(found, axis=0)
        print(f"   {name}, {title:26}  {row[0]:12.1%}  {row[1]:10.1%}  {row[2]:5.0%}")
        kept[name] = models[0]
    return kept


trained = compare("trained in place", x_train)
if full_size:
    in_place, lost = {}, {}
    for name in networks:
        in_place[name], moved, _ = shares[name, "trained in place"]
        lost[name] = 1 - moved / in_place[name]
    assert in_place["CNN"] > in_place["MLP"] > 0.93
    assert 0.25 < lost["CNN"] < 0.42 < 0.45 < lost["MLP"] < 0.6

# %% [markdown]
# ## 5. Where the advantage comes from
#
# Two tests. First, all pixels are shuffled, in the same way in each image, for training and test. To the MLP nothing
# has changed: it never knew which pixels are neighbours, and learns as well. The CNN, whose windows now see pixels that
# have nothing to do with each other, still learns to read images at their place. But on the moved images it loses all
# of its advantage, and more. (The images are moved before they are shuffled.) A convolution is a bet that neighbours
# belong together and that the same things occur at different places. It wins where this is true.
#
# Second, both are trained on images that are moved at random by up to two pixels in each direction, anew in each epoch
# (**augmentation**, `nn.data.Shift`), for twice as many epochs. Now both have seen moved digits. The CNN reads them at
# all places about equally well, a little worse than the other CNN does at the one place that it knows. The MLP has to
# learn each digit at each place separately, and with 17 neurons and these epochs it does not get there.
#
# ![Right answers of CNN and MLP, on images at their place and moved](../docs/moved_digits.svg)

# %%
order = np.random.default_rng(5).permutation(pixels)


def shuffled(x):
    return x.reshape(len(x), -1)[:, order].reshape(x.shape)


print("\n5. The same with shuffled pixels, and trained on moved images")
compare("pixels shuffled", shuffled(x_train), arrange=shuffled)
compare("trained on moved images", x_train, nn.data.Shift(2), epochs=2 * epochs)
if full_size:
    place, mixed, augmented = "trained in place", "pixels shuffled", "trained on moved images"
    assert abs(shares["MLP", mixed] - shares["MLP", place]).max() < 0.05
    assert shares["CNN", mixed][1] < shares["CNN", place][1] - 0.1
    assert shares["CNN", mixed][1] < shares["MLP", mixed][1]
    assert shares["CNN", mixed][0] > 0.9
    assert shares["CNN", place][0] > shares["CNN", augmented].max()
    assert np.ptp(shares["CNN", augmented]) < 0.05
    assert shares["CNN", augmented].min() > 0.85
    assert shares["CNN", augmented].min() > shares["MLP", augmented].max() + 0.1

figure, axes = plt.subplots(1, 3, figsize=(9, 3.6), layout="constrained", sharey=True)
for ax, title in zip(axes, ("trained in place", "pixels shuffled", "trained on moved images"), strict=True):
    for name, colour, line in (("CNN", BLUE, "o-"), ("MLP", ORANGE, "s--")):
        ax.plot([0, 1, 2], shares[name, title], line, color=colour, linewidth=2, label=name)
    ax.axhline(0.1, color=GREY, linewidth=1, linestyle=":")
    ax.set(title=title, xticks=[0, 1, 2], xlabel="test images moved by … pixels", ylim=(0, 1.02))
axes[0].set_ylabel("right answers")
axes[0].yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
axes[0].text(0, 0.11, "guessing", color=GREY, va="bottom")
axes[0].legend(loc="upper right")
figure.savefig(figures / "moved_digits.svg", metadata={"Date": None})

# %% [markdown]
# ## 6. What the filters see
#
# The first layer of the CNN (the first seed, trained in place) has eight filters, and what each of them says of a digit
# is an image that can be looked at: bright where it found what it looks for. Nobody told the network what to look for.
# How much a filter is like the edge detector of section 1, upright or lying (turned by a quarter), can be measured: by
# the correlation of their nine numbers. It is 1 if they are alike but for a factor and an offset, -1 if one is like the
# negative of the other (the same edge, from bright to dark), and 0 if they have nothing in common. Some filters are
# edge detectors, others are hard to name. Do not read too much into them: another seed finds other ones. Below the
# maps, what is left of them after pooling.
#
# ![The filters of the first layer, their feature maps, and the maps after pooling](../docs/feature_maps.png)

# %%
model = trained["CNN"]
shown = x_test[y_test == 3][:1] if full_size else x_test[:1]
record = nn.record_activations(model, shown)
_, found, pooled = [output[0] for output in list(record.outputs.values())[:3]]  # convolution, ReLU, pooling
filters = np.array(model[0].weight)[:, 0]
blocks = found.reshape(len(found), 6, 2, 6, 2)
assert np.allclose(pooled, blocks.max(axis=(2, 4)))  # pooling keeps the largest of each 2 x 2
bias = np.array(model[0].bias)
for number in range(len(filters)):  # the maps are those of the loops in section 1, with bias and ReLU
    answers = np.array(by_hand(np.pad(shown[0, 0], 1).tolist(), filters[number].tolist())) + bias[number]
    assert np.allclose(found[number], np.maximum(answers, 0), atol=1e-5)
turned = np.transpose(window)
print("\n6. Filters of the first layer: how much of a filter's map is 0, and how much it is like an edge detector")
print("   filter  ", " ".join(f"{number:5}" for number in range(1, len(filters) + 1)))
print("   dark    ", " ".join(f"{(one == 0).mean():5.0%}" for one in found))
alike = np.array([[np.corrcoef(one.ravel(), np.ravel(edge))[0, 1] for one in filters] for edge in (window, turned)])
for name, row in zip(("upright", "lying"), alike, strict=True):
    print(f"   {name:8}", " ".join(f"{correlation:5.2f}" for correlation in row))
if full_size:
    assert (abs(alike).max(axis=0) > 0.7).sum() >= 2

figure, axes = plt.subplots(3, len(filters) + 1, figsize=(11, 3.9), layout="constrained")
for ax in axes.flat:
    ax.set_axis_off()
axes[1, 0].imshow(shown[0, 0], cmap="gray")
axes[1, 0].set_title("the image", fontsize="medium")
strongest = abs(filters).max()
for column, (weights, whole, small) in enumerate(zip(filters, found, pooled, strict=True), start=1):
    axes[0, column].imshow(weights, cmap="RdBu", vmin=-strongest, vmax=strongest)
    axes[1, column].imshow(whole, cmap="viridis", vmin=0, vmax=found.max())
    axes[2, column].imshow(small, cmap="viridis", vmin=0, vmax=found.max())
    axes[0, column].set_title(f"filter {column}", fontsize="medium")
axes[1, 1].set_title("its map", fontsize="medium")
axes[2, 1].set_title("pooled", fontsize="medium")
figure.suptitle("Blue: bright wanted, red: dark wanted. Yellow: found, dark: not")
figure.savefig(figures / "feature_maps.png", dpi=90)

# %%
print(f"\n7. All done in {time.perf_counter() - started:.0f} s. The pictures:")
for name in ("convolution_by_hand.svg", "moved_digits.svg", "feature_maps.png"):
    print(f"   {figures / name}")

# %% [markdown]
# **Try:** turn the filter of section 1 by a quarter: what does it ask now, and what does it say of this image?
# `nn.AvgPool2d` in place of `nn.MaxPool2d`: what becomes of the moved images? How many neurons does the MLP need to
# read moved digits as well as the CNN, and how many parameters are that? Run your variants with `python -O`, which
# skips the assertions: they state what holds for the numbers above.
