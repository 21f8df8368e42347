"""Compiling and assembling kernels without a GPU, and what is said about them."""

import pytest
from assembly import NO_PTXAS, assemble, compile_ptx, doubles, find_ptxas
from numba import cuda, float32, types

VECTOR = types.float32[::1]
CAPABILITIES = [(9, 0), (7, 5), (10, 0)]


@cuda.jit(device=True)
def square(x):
    return x * x


@cuda.jit
def squares(x, y):
    s = cuda.shared.array(128, float32)
    i = cuda.threadIdx.x
    s[i] = square(x[i])
    cuda.syncthreads()
    y[i] = s[127 - i]


@pytest.fixture(scope="module")
def texts(compile_kernel):
    return compile_ptx(squares, (VECTOR, VECTOR), CAPABILITIES, 128)


def needs_ptxas():
    if find_ptxas() is None:
        pytest.skip(NO_PTXAS)


def test_one_text_for_each_capability(texts):
    assert list(texts) == CAPABILITIES
    for (major, minor), text in texts.items():
        assert f".target sm_{major}{minor}" in text
        assert ".maxntid 128" in text


def test_a_kernel_with_a_device_function_is_assembled(texts):
    needs_ptxas()
    for capability, text in texts.items():
        assembled = assemble(text, capability)
        assert assembled.shared == 512
        assert 4 <= assembled.registers <= 40
        assert assembled.stack == assembled.spills == assembled.reloads == 0


def many_values(x, y):
    own = cuda.local.array(48, float32)
    i = cuda.threadIdx.x
    for j in range(48):
        own[j] = x[j * 32 + i]
    cuda.syncthreads()  # all are loaded before, and used after
    for j in range(48):
        y[j * 32 + i] = own[j] * own[47 - j]


def test_too_few_registers_spill(compile_kernel):
    needs_ptxas()
    enough, few = (
        assemble(compile_kernel(many_values, (VECTOR, VECTOR), threads), (9, 0)) for threads in (32, (1024, 2))
    )
    assert enough.spills == enough.stack == 0
    assert few.registers <= 32 < enough.registers
    assert few.spills >= 4 * 16
    assert few.stack > 0


def with_local_array(x, n):
    own = cuda.local.array(100, float32)
    for i in range(n):
        own[i] = x[i]
    for i in range(n):
        x[i] = own[n - i]


def test_local_arrays_that_do_not_fit_in_registers_are_on_the_stack(compile_kernel):
    needs_ptxas()
    assembled = assemble(compile_kernel(with_local_array, (VECTOR, types.int32), 32), (9, 0))
    assert (assembled.stack, assembled.spills) == (400, 0)


def test_fast_mathematics_is_an_option(compile_kernel):
    def divide(x, y):
        x[0] = x[0] / y[0]

    exact, fast = (compile_kernel(divide, (VECTOR, VECTOR), 32, fastmath=on) for on in (False, True))
    assert "div.rn.f32" in exact
    assert "div.rn.f32" not in fast


def test_what_ptxas_says_is_passed_on():
    needs_ptxas()
    with pytest.raises(ValueError, match=r"(?s)capability \(9, 0\).*bla"):
        assemble(".version 8.0\n.target sm_90\n.address_size 64\nbla\n", (9, 0))


def test_without_ptxas_there_is_no_answer(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert assemble("", (9, 0)) is None


def test_lines_that_compute_with_float64():
    text = """
    ld.global.f64 %fd1, [%rd1];
    @%p1 add.f64 %fd2, %fd1, %fd1; // a sum
    // mul.f64 %fd2, %fd1, %fd1;
    setp.lt.f64 %p2, %fd1, %fd2;
    cvt.rn.f32.f64 %f1, %fd2;
    mov.f64 %fd3, %fd2;
    add.f32 %f2, %f1, %f1;
    st.global.f64 [%rd1], %fd2;"""
    assert doubles(text) == [
        "line 3: add.f64 %fd2, %fd1, %fd1;",
        "line 5: setp.lt.f64 %p2, %fd1, %fd2;",
        "line 6: cvt.rn.f32.f64 %f1, %fd2;",
    ]
