"""Data on its way into training: batches, the thread that prepares them, tables, images and their augmentation."""

import functools
import gzip
import hashlib
import http.server
import threading
import time

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.impute import SimpleImputer

import fast
import nn
from nn.data import Compose, Flip, Noise, Rotate, Shift, batches, images, prefetch, read_csv, read_idx


def refuses(function, error, *words):
    """`function` raises `error`, and its message contains all `words`."""
    with pytest.raises(error) as caught:
        function()
    for word in words:
        assert word in str(caught.value), str(caught.value)


# ----------------------------------------------------------------------------------------------------------------------
# Batches.


def test_a_smaller_last_batch_can_be_dropped():
    assert [len(rows) for rows in batches(10, 4)] == [4, 4, 2]
    assert [len(rows) for rows in batches(10, 4, drop_last=True)] == [4, 4]
    assert [len(rows) for rows in batches(8, 4, drop_last=True)] == [4, 4]


def test_other_rows_are_dropped_in_each_epoch():
    random = np.random.default_rng(0)
    kept = [set(np.concatenate(list(batches(10, 4, random, drop_last=True))).tolist()) for _ in range(2)]
    assert kept[0] != kept[1]
    assert [len(rows) for rows in kept] == [8, 8]


def test_prefetch_keeps_the_order():
    assert list(prefetch(range(100), ahead=3)) == list(range(100))
    assert list(prefetch([])) == []


def test_prefetch_prepares_while_an_item_is_in_use_and_no_further_than_it_was_told():
    prepared = []
    items = prefetch((prepared.append(n) or n for n in range(100)), ahead=3)
    assert prepared == []  # nothing is prepared before something is asked for
    assert next(items) == 0
    wait_until(lambda: len(prepared) == 5)  # the one in use, three that lie ready, and one that waits for room
    time.sleep(0.05)
    assert prepared == [0, 1, 2, 3, 4]
    items.close()


def test_what_goes_wrong_in_the_background_is_raised_in_its_place():
    def items():
        yield 1
        raise KeyError("broken")

    got = []
    with pytest.raises(KeyError, match="broken"):
        got.extend(iter_into(got, prefetch(items())))
    assert got == [1]


def test_the_thread_ends_when_nobody_wants_another_item():
    for leave in (lambda items: items.close(), lambda items: None):
        items = prefetch(iter(int, 1), ahead=2)  # without end
        next(items)
        assert "prefetch" in names_of_threads()
        leave(items)
        del items
        assert "prefetch" not in names_of_threads()


def test_prefetch_refuses_what_is_not_to_be_gone_through():
    refuses(lambda: prefetch(3), TypeError, "int")
    refuses(lambda: prefetch([1], ahead=0), ValueError, "ahead=0", "at least 1")


def iter_into(got, items):
    for item in items:
        got.append(item)
    return []


def names_of_threads():
    return [thread.name for thread in threading.enumerate()]


def wait_until(condition):
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.001)
    assert condition()


# ----------------------------------------------------------------------------------------------------------------------
# Augmentation.

IMAGES = np.random.default_rng(0).uniform(size=(40, 2, 5, 5)).astype(np.float32)


def test_a_shift_moves_the_whole_image():
    shifted = Shift(2, fill=-1.0)(IMAGES, np.random.default_rng(1))
    moves = set()
    for old, new in zip(IMAGES, shifted, strict=True):
        padded = np.pad(old, [(0, 0), (2, 2), (2, 2)], constant_values=-1.0)
        found = [
            (down, right)
            for down in range(5)
            for right in range(5)
            if np.array_equal(padded[:, down : down + 5, right : right + 5], new)
        ]
        assert len(found) == 1
        moves.update(found)
    assert len(moves) > 10  # down and right each for itself
    assert {down for down, _ in moves} == {right for _, right in moves} == set(range(5))


def test_a_flip_mirrors_some_images():
    flipped = Flip(0.5)(IMAGES, np.random.default_rng(1))
    mirrored = [np.array_equal(new, old[..., ::-1]) for old, new in zip(IMAGES, flipped, strict=True)]
    same = [np.array_equal(new, old) for old, new in zip(IMAGES, flipped, strict=True)]
    assert all(a != b for a, b in zip(mirrored, same, strict=True))
    assert 10 < sum(mirrored) < 30
    assert np.array_equal(Flip(1.0, vertical=True)(IMAGES, np.random.default_rng(1)), IMAGES[:, :, ::-1])
    assert np.array_equal(Flip(0.0)(IMAGES, np.random.default_rng(1)), IMAGES)


def test_a_quarter_turn_is_that_of_numpy():
    class Always:
        def uniform(self, low, high, size):
            assert (low, high) == (-90, 90)
            return np.full(size, 90.0)

    turned = Rotate(90)(IMAGES, Always())
    np.testing.assert_allclose(turned, np.rot90(IMAGES, axes=(2, 3)), atol=1e-6)


def test_a_small_turn_keeps_the_centre_and_fills_the_corners():
    turned = Rotate(45, fill=7.0)(np.ones((20, 1, 9, 9)), np.random.default_rng(0))
    np.testing.assert_allclose(turned[:, :, 4, 4], 1)
    assert (turned[:, :, 0, 0] > 2).sum() > 10
    assert np.array_equal(Rotate(0)(IMAGES, np.random.default_rng(0)), IMAGES)


def test_noise_has_its_standard_deviation():
    noise = Noise(0.1)(np.zeros((100, 100)), np.random.default_rng(0))
    assert noise.std() == pytest.approx(0.1, rel=0.02)
    assert noise.mean() == pytest.approx(0, abs=0.005)


@pytest.mark.parametrize("transform", [Shift(1), Flip(), Rotate(10), Noise(0.1), Compose([Shift(1), Flip()])])
def test_a_transform_repeats_with_its_seed_and_leaves_the_images_as_they_are(transform):
    before = IMAGES.copy()
    first, again, other = [transform(IMAGES, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.shape == IMAGES.shape
    assert first.dtype == np.float32
    assert np.array_equal(IMAGES, before)
    assert transform(IMAGES[:0], np.random.default_rng(0)).shape == (0, 2, 5, 5)


def test_compose_goes_from_first_to_last():
    both = Compose([lambda x, random: x + 1, lambda x, random: x * 2])
    assert both(np.array([3.0]), None).tolist() == [8.0]


def test_transforms_that_cannot_be():
    random = np.random.default_rng(0)
    refuses(lambda: Shift(-1), ValueError, "pixels=-1", "0 or more")
    refuses(lambda: Shift(1.5), ValueError, "pixels=1.5")
    refuses(lambda: Flip(2), ValueError, "p=2", "probability")
    refuses(lambda: Rotate(float("nan")), ValueError, "degrees=nan")
    refuses(lambda: Noise(-1.0), ValueError, "std=-1.0")
    refuses(lambda: Compose(Flip()), TypeError, "Compose([Shift(2), Flip()])")
    refuses(lambda: Shift(1)(IMAGES[0], random), ValueError, "(2, 5, 5)", "(N, C, H, W)")
    refuses(lambda: Noise(1.0)((IMAGES * 255).astype(np.uint8), random), TypeError, "uint8", "/ 255")


# ----------------------------------------------------------------------------------------------------------------------
# What `fit` makes of them.


def trained(seed=0, epochs=2, batch_size=16, **settings):
    """The loss of each step, and the weights at the end."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(50, 1, engine=fast, seed=0))
    y = IMAGES.mean((1, 2, 3)).reshape(-1, 1)
    optimizer = nn.SGD(model.parameters(), lr=0.01)
    history = nn.fit(model, (IMAGES, y), nn.mse_loss, optimizer, epochs, batch_size, seed=seed, **settings)
    return history.step_loss, model.state_dict()["1.weight"].tolist()


def test_training_with_augmentation_can_be_repeated_and_does_not_depend_on_prefetch():
    augment = Compose([Shift(1), Noise(0.1)])
    first = trained(augment=augment)
    assert first == trained(augment=augment) == trained(augment=augment, prefetch=2)
    assert first != trained(augment=augment, seed=1)
    assert first != trained()
    assert "prefetch" not in names_of_threads()


def test_augmentation_leaves_the_order_of_the_samples_as_it_is():
    assert trained(augment=lambda x, random: x) == trained()


def test_each_batch_of_each_epoch_is_altered_in_its_own_way():
    drawn = []

    def augment(x, random):
        drawn.append(random.integers(2**60))
        return x

    trained(augment=augment, epochs=3)
    assert len(set(drawn)) == len(drawn) == 9


def test_fit_can_drop_the_last_batch():
    assert len(trained(batch_size=16)[0]) == 2 * 3
    assert len(trained(batch_size=16, drop_last=True)[0]) == 2 * 2
    assert len(trained(batch_size=None, drop_last=True)[0]) == 2


def test_a_transform_may_compute_in_another_type():
    assert trained(augment=lambda x, random: x.astype(float)) == trained()


@pytest.mark.parametrize("ahead", [0, 2])
def test_what_goes_wrong_in_a_transform_ends_the_training(ahead):
    refuses(lambda: trained(augment=lambda x, random: x[1:], prefetch=ahead), TypeError, "(15, 2, 5, 5)", "(16, 2, 5")
    refuses(lambda: trained(augment=lambda x, random: None, prefetch=ahead), TypeError, "augment gave None")
    assert "prefetch" not in names_of_threads()


def test_augment_and_prefetch_are_checked_before_training():
    refuses(lambda: trained(augment=[Flip()]), TypeError, "augment=[Flip(", "nn.data.Compose")
    refuses(lambda: trained(prefetch=-1), ValueError, "prefetch=-1", "or 0")


# ----------------------------------------------------------------------------------------------------------------------
# Tables.


def table(tmp_path, text, **settings):
    path = tmp_path / "table.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_csv(path, **settings)


def test_a_table_with_a_target(tmp_path):
    names, x, y = table(tmp_path, 'size,"rooms, all",price\n50.5, 2 ,1e5\n-70,3,200000\n\n', target="price")
    assert names == ["size", "rooms, all"]
    assert x.tolist() == [[50.5, 2.0], [-70.0, 3.0]]
    assert y.tolist() == [1e5, 2e5]
    assert x.dtype == y.dtype == np.float64


def test_a_table_without_target_and_with_several(tmp_path):
    text = b"\xef\xbb\xbfa;b;c\r\n1;2;3\r\n4;5;6\r\n"  # as spreadsheets write it
    names, x, y = table(tmp_path, text, delimiter=";")
    assert (names, x.tolist(), y) == (["a", "b", "c"], [[1, 2, 3], [4, 5, 6]], None)
    names, x, y = table(tmp_path, text, delimiter=";", target=["c", "a"])
    assert (names, x.tolist(), y.tolist()) == (["b"], [[2], [5]], [[3, 1], [6, 4]])


def test_labels_are_whole_numbers_or_text(tmp_path):
    assert table(tmp_path, "a,y\n1,0\n2,1\n", target="y").y.dtype == np.int64
    assert table(tmp_path, "a,y\n1,0.0\n2,1\n", target="y").y.dtype == np.float64
    assert table(tmp_path, "a,y\n1,cat\n2,dog\n", target="y").y.tolist() == ["cat", "dog"]


def test_columns_can_be_chosen(tmp_path):
    names, x, _ = table(tmp_path, "id,b,a\nx1,2,1\nx2,4,3\n", columns=["a", "b"])
    assert (names, x.tolist()) == (["a", "b"], [[1, 2], [3, 4]])


def test_a_real_table_comes_back_as_it_was(tmp_path):
    iris = load_iris()
    lines = [",".join([*iris.feature_names, "kind"])]
    lines += [",".join(map(repr, [*row.tolist(), int(kind)])) for row, kind in zip(iris.data, iris.target, strict=True)]
    names, x, y = table(tmp_path, "\n".join(lines), target="kind")
    assert names == iris.feature_names
    assert np.array_equal(x, iris.data)
    assert np.array_equal(y, iris.target)


def test_missing_numbers_are_named_or_kept(tmp_path):
    text = "a,b\n1,2\n,3\n4,NA\n"
    refuses(lambda: table(tmp_path, text), ValueError, "2 numbers", "line 3 column 'a', line 4 column 'b'", "Imputer")
    _, x, _ = table(tmp_path, text, missing="keep")
    assert np.isnan(x).tolist() == [[False, False], [True, False], [False, True]]
    assert SimpleImputer().fit_transform(x).tolist() == [[1, 2], [2.5, 3], [4, 2.5]]
    refuses(lambda: table(tmp_path, "a,y\n1,2\n3,?\n", target="y", missing="keep"), ValueError, "line 3 column 'y'")
    refuses(lambda: table(tmp_path, "a\n" + "nan\n" * 9), ValueError, "9 numbers", "and others")


def test_tables_that_are_none(tmp_path):
    refuses(lambda: table(tmp_path, "a,b\n1,red\n"), ValueError, "line 2", "'b'", "'red'", "OneHotEncoder")
    refuses(lambda: table(tmp_path, "a\n1\ninf\n"), ValueError, "line 3", "'inf'")
    refuses(lambda: table(tmp_path, "a\n1_000\n"), ValueError, "'1_000'")
    refuses(lambda: table(tmp_path, "a,b\n1,2\n3\n"), ValueError, "line 3", "1 cells", "has 2")
    refuses(lambda: table(tmp_path, "a,b\n"), ValueError, "no rows", "at least one row")
    refuses(lambda: table(tmp_path, ""), ValueError, "no rows")
    refuses(lambda: table(tmp_path, "1,2\n3,4\n"), ValueError, "begins with numbers", "1, 2")
    refuses(lambda: table(tmp_path, "a,b,a\n1,2,3\n"), ValueError, "two columns called 'a'")
    refuses(lambda: table(tmp_path, "a;b\n1;2\n"), ValueError, "delimiter=';'")
    refuses(lambda: table(tmp_path, "a,b\n1,2\n", target="c"), ValueError, "no column 'c'", "a, b")
    refuses(lambda: table(tmp_path, "a,b\n1,2\n", columns=["x"]), ValueError, "no column 'x'")
    refuses(lambda: table(tmp_path, "a\n1\n", target="a"), ValueError, "beside the target")
    refuses(lambda: table(tmp_path, "a\n1\n", missing="drop"), ValueError, "missing='drop'", "keep")
    refuses(lambda: table(tmp_path, b"\x80\x04\x95\xff\xff"), ValueError, "UTF-8")
    refuses(lambda: table(tmp_path, 'a\n"1\n'), ValueError, "no CSV file")
    refuses(lambda: read_csv(tmp_path / "none.csv"), FileNotFoundError, "none.csv")


# ----------------------------------------------------------------------------------------------------------------------
# Images in files.


def idx(array, kind=0x08):
    header = bytes([0, 0, kind, array.ndim]) + b"".join(length.to_bytes(4, "big") for length in array.shape)
    return header + array.tobytes()


def digits():
    """The four files of a small MNIST, and what is in them."""
    random, files, arrays = np.random.default_rng(0), {}, {}
    for part, count in (("train", 6), ("t10k", 3)):
        x = random.integers(0, 256, (count, 28, 28), np.uint8)
        y = random.integers(0, 10, count, np.uint8)
        arrays[part] = x, y
        files[f"{part}-images-idx3-ubyte.gz"] = gzip.compress(idx(x), mtime=0)
        files[f"{part}-labels-idx1-ubyte.gz"] = gzip.compress(idx(y), mtime=0)
    return files, arrays


@pytest.fixture
def folder(tmp_path):
    for name, content in digits()[0].items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


@pytest.mark.parametrize("load", [nn.data.mnist, nn.data.fashion_mnist])
@pytest.mark.parametrize("packed", [True, False])
def test_images_from_a_folder(folder, load, packed):
    if not packed:
        for path in list(folder.iterdir()):
            path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
            path.unlink()
    for (x, y), (pixels, labels) in zip(load(folder), digits()[1].values(), strict=True):
        assert (x.dtype, y.dtype) == (np.float32, np.int64)
        np.testing.assert_allclose(x, pixels[:, None] / 255, rtol=1e-6)
        assert y.tolist() == labels.tolist()


def test_images_go_into_fit_as_they_are(folder):
    training, test = nn.data.mnist(folder)
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10, engine=fast, seed=0))
    optimizer = nn.SGD(model.parameters(), lr=0.01)
    history = nn.fit(model, training, nn.cross_entropy, optimizer, 5, validation=test, augment=Shift(1))
    assert history.loss[-1] < history.loss[0]


@pytest.mark.parametrize(("kind", "dtype"), images.IDX_TYPES.items())
def test_every_type_of_an_idx_file(tmp_path, kind, dtype):
    array = np.array([[1, 2, 3], [4, 5, 6]], dtype)
    (tmp_path / "array").write_bytes(idx(array, kind))
    read = read_idx(tmp_path / "array")
    assert read.dtype == np.dtype(dtype).newbyteorder("=")
    assert np.array_equal(read, array)
    read[0, 0] = 9  # it is the reader's own


def test_idx_files_that_are_none(tmp_path):
    def read(content):
        (tmp_path / "file").write_bytes(content)
        return read_idx(tmp_path / "file")

    whole = idx(np.zeros((2, 3), np.uint8))
    refuses(lambda: read(b""), ValueError, "no IDX file")
    refuses(lambda: read(b"\x00\x01" + whole[2:]), ValueError, "no IDX file", "\\x01")
    refuses(lambda: read(b"\x00\x00\x07" + whole[3:]), ValueError, "no IDX file")
    refuses(lambda: read(whole[:-1]), ValueError, "damaged", "[2, 3]", "18 bytes, not 17")
    refuses(lambda: read(whole + b"\0"), ValueError, "damaged", "18 bytes, not 19")
    refuses(lambda: read(whole[:7]), ValueError, "damaged")
    refuses(lambda: read(b"\x00\x00\x08\x03" + b"\xff" * 12), ValueError, "damaged")  # asks for 10^28 bytes
    packed = gzip.compress(whole * 50, mtime=0)
    refuses(lambda: read(packed[:-9]), ValueError, "damaged", "gzip")
    refuses(lambda: read(packed[:20] + b"\xff\xff\xff" + packed[23:]), ValueError, "damaged", "gzip")


def test_images_and_labels_that_do_not_fit(folder):
    def put(name, array):
        (folder / name).write_bytes(gzip.compress(idx(array), mtime=0))

    load = functools.partial(nn.data.mnist, folder)
    put("t10k-labels-idx1-ubyte.gz", np.array([1, 2], np.uint8))
    refuses(load, ValueError, "t10k-labels", "(2,)", "3 images")
    put("t10k-labels-idx1-ubyte.gz", np.array([1, 2, 10], np.uint8))
    refuses(load, ValueError, "t10k-labels", "label 10")
    put("t10k-images-idx3-ubyte.gz", np.zeros((3, 27, 28), np.uint8))
    refuses(load, ValueError, "t10k-images", "(3, 27, 28)", "(N, 28, 28)")
    (folder / "t10k-images-idx3-ubyte.gz").unlink()
    refuses(load, FileNotFoundError, "t10k-images", "download=True")


@pytest.fixture
def server(folder):
    """The address of a server that offers the files of `folder`, and the names it was asked for."""
    asked = []

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            asked.append(self.path)

    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/", asked
        running.shutdown()


def source(*mirrors):
    return images.Source(mirrors, {name: hashlib.sha256(file).hexdigest() for name, file in digits()[0].items()})


def test_a_download(server, tmp_path, monkeypatch):
    address, asked = server
    new = tmp_path / "new" / "folder"
    monkeypatch.setattr(images, "MNIST", source(address + "missing/", address))  # the first mirror has nothing
    training, test = nn.data.mnist(new, download=True)
    assert (training[0].shape, test[0].shape) == ((6, 1, 28, 28), (3, 1, 28, 28))
    assert sorted(path.name for path in new.iterdir()) == sorted(digits()[0])
    asked.clear()
    nn.data.mnist(new, download=True)
    assert asked == []  # what is there is not fetched again


def test_a_wrong_checksum_is_refused_and_nothing_is_kept(server, folder, tmp_path, monkeypatch):
    address, _ = server
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-1])
    monkeypatch.setattr(images, "FASHION_MNIST", source(address))
    words = "train-images", "SHA-256", "not kept", address
    refuses(lambda: nn.data.fashion_mnist(tmp_path / "new", download=True), OSError, *words)
    assert list((tmp_path / "new").iterdir()) == []


def test_a_second_mirror_helps_where_the_first_is_wrong(server, folder, tmp_path, monkeypatch):
    address, _ = server
    (folder / "bad").mkdir()
    for name in digits()[0]:
        (folder / "bad" / name).write_bytes(b"something else")
    monkeypatch.setattr(images, "MNIST", source(address + "bad/", address))
    assert len(nn.data.mnist(tmp_path / "new", download=True)[0][0]) == 6


def test_no_mirror_answers(tmp_path, monkeypatch):
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as closed:
        address = f"http://127.0.0.1:{closed.server_port}/"
    monkeypatch.setattr(images, "MNIST", source(address))
    refuses(lambda: nn.data.mnist(tmp_path, download=True), OSError, "could not be fetched", address)
    assert list(tmp_path.iterdir()) == []


def test_the_real_sources_name_every_file():
    for real in (images.MNIST, images.FASHION_MNIST):
        assert sorted(real.sha256) == sorted(digits()[0])
        assert all(len(checksum) == 64 for checksum in real.sha256.values())
        assert all(mirror.endswith("/") for mirror in real.mirrors)
    assert len(nn.data.FASHION_MNIST_CLASSES) == 10
