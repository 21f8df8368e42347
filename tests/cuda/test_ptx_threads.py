"""The executor of PTX: arguments, memories, branches, calls, warps, barriers, and every fault that it finds."""

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="what is executed comes from numba-cuda (pip install 'numba-cuda[cu13]')")

from ptx import (
    DivergenceError,
    KernelError,
    MisalignedError,
    OutOfBoundsError,
    Pointer,
    PtxError,
    RaceError,
    UninitialisedError,
    run,
)
from texts import kernel

#: %r0 is the thread, %rd0 the address of its element of `out`, %rd1 that of its element of `x`.
START = """
    mov.u32 %r0, %tid.x;
    ld.param.u64 %rd0, [out];
    mad.wide.u32 %rd0, %r0, 4, %rd0;
"""
WITH_INPUT = (
    START
    + """
    ld.param.u64 %rd1, [x];
    mad.wide.u32 %rd1, %r0, 4, %rd1;
    ld.global.u32 %r1, [%rd1];
"""
)
OUT = [("u64", "out")]
BOTH = [*OUT, ("u64", "x")]
SHARED = ".shared .align 16 .b8 s[256];"


def results(body: str, threads: int = 64, x=None, dtype=np.uint32, variables: str = "", grid: int = 1, **options):
    """What each thread stores: `body` leaves it in %r9. With `x`, each finds its own element in %r1."""
    out = np.zeros(threads * grid, dtype)
    store = "\n st.global.u32 [%rd0], %r9;"
    if x is None:
        run(kernel(START + body + store, OUT, variables), grid, threads, [out], **options)
    else:
        run(kernel(WITH_INPUT + body + store, BOTH, variables), grid, threads, [out, x], **options)
    return out


# ----------------------------------------------------------------------------------------------------------------------
# Arguments.


@pytest.mark.parametrize("shape", [(6,), (2, 3), (1, 2, 3)])
def test_an_array_is_passed_as_numba_passes_it(shape):
    words = ["meminfo", "parent", "size", "itemsize", "data", *("nml"[: len(shape)]), *("stu"[: len(shape)])]
    body = "".join(f"ld.param.u64 %rd1, [{name}]; st.global.u64 [%rd0+{8 * i}], %rd1;" for i, name in enumerate(words))
    out = np.zeros(len(words), np.uint64)
    array = np.zeros(shape, np.float32)
    text = kernel(f"ld.param.u64 %rd0, [out]; {body}", [("u64", "out"), *(("u64", name) for name in words)])
    run(text, 1, 1, [Pointer(out), array])
    assert list(out[:4]) == [0, 0, 6, 4]
    assert list(out[5:]) == [*shape, *array.strides]


def test_numbers_are_passed_by_the_width_of_the_parameter():
    kinds = [("s32", -5), ("u64", 2**63 + 1), ("f32", 0.1), ("f64", 0.1), ("u8", True), ("s64", np.int32(-7))]
    parameters = [("u64", "out"), *((kind, f"a{i}") for i, (kind, _) in enumerate(kinds))]
    body = "ld.param.u64 %rd0, [out]; ld.param.s32 %rd1, [a0]; st.global.u64 [%rd0], %rd1;"
    body += "ld.param.u64 %rd1, [a1]; st.global.u64 [%rd0+8], %rd1; ld.param.f32 %f1, [a2]; cvt.f64.f32 %fd1, %f1;"
    body += "st.global.f64 [%rd0+16], %fd1; ld.param.f64 %fd1, [a3]; st.global.f64 [%rd0+24], %fd1;"
    body += "ld.param.u8 %rs1, [a4]; cvt.u64.u16 %rd1, %rs1; st.global.u64 [%rd0+32], %rd1;"
    body += "ld.param.s64 %rd1, [a5]; st.global.u64 [%rd0+40], %rd1;"
    out = np.zeros(6, np.int64)
    numbers = [value for _, value in kinds]
    run(kernel(body, parameters), 1, 1, [Pointer(out), tuple(numbers[:2]), *numbers[2:]])
    assert list(out[[0, 4, 5]]) == [-5, 1, -7]
    assert out.view(np.uint64)[1] == 2**63 + 1
    assert list(out.view(float)[2:4]) == [np.float32(0.1), 0.1]


def test_arguments_that_do_not_fit_are_refused():
    text = kernel("", [("u64", "x"), ("s32", "n")])
    with pytest.raises(PtxError, match=r"takes 2 words.*make 9 .*structures, 3 with arrays as pointers"):
        run(text, 1, 1, [np.zeros(3), 1, 2])
    with pytest.raises(PtxError, match=r"s32 is given 0.5"):
        run(text, 1, 1, [np.zeros(3), 0.5])


def test_arrays_that_share_memory_share_it_in_the_kernel():
    arena = np.arange(10, dtype=np.uint32)
    copy = "ld.param.u64 %rd0, [out]; ld.param.u64 %rd1, [x]; ld.global.u32 %r1, [%rd1]; st.global.u32 [%rd0+4], %r1;"
    run(kernel(copy, BOTH), 1, 1, [arena[2:5], arena[6:]])
    assert list(arena) == [0, 1, 2, 6, 4, 5, 6, 7, 8, 9]


def test_arrays_with_steps_keep_what_lies_between():
    every_second = np.arange(10, dtype=np.uint32)[::2]
    text = kernel("ld.param.u64 %rd0, [out]; mov.u32 %r1, 77; st.global.u32 [%rd0+8], %r1;", OUT)
    run(text, 1, 1, [every_second])
    assert list(every_second.base) == [0, 1, 77, 3, 4, 5, 6, 7, 8, 9]


def test_a_read_only_array_stays_as_it_is():
    array = np.zeros(4, np.uint32)
    array.flags.writeable = False
    with pytest.raises(PtxError, match="read-only"):
        run(kernel("ld.param.u64 %rd0, [out]; st.global.u32 [%rd0], 1;", OUT), 1, 1, [array])


# ----------------------------------------------------------------------------------------------------------------------
# Memory.


def test_vectors_are_loaded_and_stored_in_order():
    x, out = np.arange(64, dtype=np.float32), np.zeros(64, np.float32)
    body = "mov.u32 %r0, %tid.x; ld.param.u64 %rd0, [out]; ld.param.u64 %rd1, [x]; mul.wide.u32 %rd2, %r0, 16;"
    body += "add.s64 %rd0, %rd0, %rd2; add.s64 %rd1, %rd1, %rd2; ld.global.v4.f32 {%f0, %f1, %f2, %f3}, [%rd1];"
    body += "st.global.v2.f32 [%rd0+8], {%f1, %f0}; st.global.v2.f32 [%rd0], {%f3, %f2};"
    run(kernel(body, BOTH), 1, 16, [out, x])
    np.testing.assert_array_equal(out, x.reshape(-1, 4)[:, ::-1].ravel())


def test_tables_of_the_text_and_generic_addresses():
    variables = ".const .align 4 .b8 table[8] = {1, 0, 0, 0, 2, 1, 0, 0}; .global .u32 other[2] = {7, 9};" + SHARED
    body = "mov.u64 %rd2, table; add.s64 %rd2, %rd2, 4; ld.const.u32 %r2, [%rd2]; ld.global.u32 %r3, [other+4];"
    body += "mov.u64 %rd3, s; cvta.shared.u64 %rd4, %rd3; st.u32 [%rd4+16], %r3; ld.shared.u32 %r4, [s+16];"
    body += "cvta.to.shared.u64 %rd5, %rd4; sub.s64 %rd5, %rd5, %rd3; cvt.u32.u64 %r5, %rd5;"
    body += "mad.lo.u32 %r9, %r2, 1000, %r4; add.u32 %r9, %r9, %r5;"
    assert results(body, 1, variables=variables)[0] == 258009


def test_each_thread_has_local_memory_of_its_own():
    body = ".local .align 8 .b8 mine[16]; mov.u64 %rd2, mine; cvta.local.u64 %rd3, %rd2; cvta.to.local.u64 %rd4, %rd3;"
    body += "st.local.u32 [%rd4+4], %r0; bar.sync 0; ld.u32 %r9, [%rd3+4];"
    np.testing.assert_array_equal(results(body), np.arange(64))


def test_dynamic_shared_memory_follows_the_static_one():
    variables = ".extern .shared .align 4 .b8 more[];" + SHARED
    body = "mul.lo.u32 %r2, %r0, 4; mov.u32 %r3, more; add.u32 %r3, %r3, %r2;"
    body += "st.shared.u32 [%r3], %r0; bar.sync 0; ld.shared.u32 %r9, [%r3]; mov.u32 %r4, %dynamic_smem_size;"
    body += "add.u32 %r9, %r9, %r4;"
    np.testing.assert_array_equal(results(body, variables=variables, shared=256), np.arange(64) + 256)
    with pytest.raises(OutOfBoundsError, match=r"0 bytes behind the end of more"):
        results(body, variables=variables, shared=128)


def test_dynamic_shared_memory_is_aligned_as_it_says():
    body = "ld.shared.v4.f32 {%f0,%f1,%f2,%f3}, [more]; mov.b32 %r9, %f3;"
    for alignment, fault in ((16, UninitialisedError), (4, MisalignedError)):
        variables = f".shared .b8 s[20]; .extern .shared .align {alignment} .b8 more[];"
        with pytest.raises(fault):
            results(body, variables=variables, shared=64)


ATOMICS = {
    "add.u32": lambda old, x: old + x,
    "min.u32": min,
    "max.s32": max,
    "and.b32": lambda old, x: old & x,
    "or.b32": lambda old, x: old | x,
    "xor.b32": lambda old, x: old ^ x,
    "exch.b32": lambda old, x: x,
    "inc.u32": lambda old, x: 0 if old >= x else old + 1,
    "dec.u32": lambda old, x: x if old == 0 or old > x else old - 1,
}


@pytest.mark.parametrize("space", ["global", "shared"])
@pytest.mark.parametrize("opcode", ATOMICS)
def test_atomic_operations_give_what_they_found(opcode, space):
    x = np.random.default_rng(3).integers(1, 50, 40).astype(np.uint32)
    body = "ld.param.u64 %rd2, [x];" if space == "global" else "mov.u64 %rd2, s;"
    body += "setp.eq.u32 %p1, %r0, 0; @%p1 st.shared.u32 [s], 9; bar.sync 0;"
    body += f"atom.{space}.{opcode} %r9, [%rd2], %r1;"
    cell = np.array([9], np.uint32)
    if space == "global":
        text = kernel(
            WITH_INPUT.replace("[x]", "[y]") + body + "st.global.u32 [%rd0], %r9;", [*BOTH, ("u64", "y")], SHARED
        )
        out = np.zeros(40, np.uint32)
        run(text, 1, 40, [out, cell, x])
    else:
        out = results(body, 40, x, variables=SHARED)
    held = 9
    for found, given in zip(out.tolist(), x.tolist(), strict=True):
        assert found == held
        held = ATOMICS[opcode](held, given)
    assert space == "shared" or cell[0] == held


def test_atomic_additions_of_floats_comparisons_and_those_without_result():
    x, out = np.arange(40, dtype=np.float32), np.zeros(2, np.float32)
    body = "mov.u32 %r0, %tid.x; ld.param.u64 %rd0, [out]; ld.param.u64 %rd1, [x]; mad.wide.u32 %rd1, %r0, 4, %rd1;"
    body += "ld.global.f32 %f0, [%rd1]; red.global.add.f32 [%rd0], %f0; atom.global.cas.b32 %r1, [%rd0+4], 0, %r0;"
    run(kernel(body, BOTH), 1, 40, [out, x])
    assert out[0] == x.sum()
    assert out.view(np.uint32)[1] == 1  # the first that found 0 there and left something else


# ----------------------------------------------------------------------------------------------------------------------
# Branches.


def test_threads_part_and_meet_again():
    body = """
    mov.u32 %r9, 0;
    and.b32 %r2, %r0, 1;
    setp.eq.u32 %p1, %r2, 0;
    @%p1 bra $EVEN;
    add.u32 %r9, %r0, 100;
    bra.uni $END;
$EVEN:
    add.u32 %r9, %r0, 200;
$END:
    add.u32 %r9, %r9, 1000;
    bar.sync 0;
"""
    wanted = [1000 + i + (200 if i % 2 == 0 else 100) for i in range(64)]
    assert list(results(body)) == wanted


def test_a_loop_runs_as_often_as_each_thread_wants():
    body = """
    mov.u32 %r9, 0;
$LOOP:
    add.u32 %r9, %r9, 3;
    add.u32 %r0, %r0, 4294967295;
    setp.ne.u32 %p1, %r0, 4294967295;
    @%p1 bra $LOOP;
"""
    assert list(results(body)) == [3 * (i + 1) for i in range(64)]


def test_a_table_of_branches():
    body = """
    rem.u32 %r2, %r0, 3;
$TARGETS: .branchtargets $A, $B, $A;
    brx.idx %r2, $TARGETS;
$A: mov.u32 %r9, 5;
    bra $END;
$B: mov.u32 %r9, 6;
$END:
"""
    assert list(results(body)) == [6 if i % 3 == 1 else 5 for i in range(64)]


def test_functions_are_called_with_their_own_registers():
    functions = """
.func (.param .b32 result) twice(.param .b32 a)
{
    .reg .b32 %r<3>;
    ld.param.u32 %r1, [a];
    add.u32 %r2, %r1, %r1;
    st.param.u32 [result], %r2;
    ret;
}
.func (.param .align 8 .b8 result[16]) both(.param .b32 a, .param .b64 b)
{
    .reg .b32 %r<3>; .reg .b64 %rd<2>; .reg .pred %p<2>;
    ld.param.u32 %r1, [a]; ld.param.u64 %rd1, [b];
    setp.lt.u32 %p1, %r1, 10;
    st.param.u64 [result+8], %rd1;
    st.param.u32 [result+0], %r1;
    @%p1 ret;
    { .param .b32 param0; st.param.u32 [param0+0], %r1; .param .b32 retval0;
    call.uni (retval0), twice, (param0);
    ld.param.u32 %r2, [retval0+0]; }
    st.param.u32 [result], %r2;
    ret;
}
"""
    body = """
    mov.u32 %r2, 1;
    { // callseq
    .param .b32 param0; st.param.u32 [param0+0], %r0;
    .param .b64 param1; st.param.u64 [param1+0], 5;
    .param .align 8 .b8 retval0[16];
    call.uni (retval0),
    both,
    (
    param0,
    param1
    );
    ld.param.u32 %r3, [retval0+0]; ld.param.u64 %rd3, [retval0+8];
    } // callseq
    cvt.u32.u64 %r4, %rd3;
    mad.lo.u32 %r9, %r3, %r2, %r4;
"""
    assert list(results(body, variables=functions)) == [5 + (i if i < 10 else 2 * i) for i in range(64)]


def test_faults_name_the_line_of_the_text():
    text = kernel("ld.param.u64 %rd0, [out];\n\n /* a\n comment */ // another\n st.global.u32 [%rd0+-4],\n 1;", OUT)
    line = text.splitlines().index(" st.global.u32 [%rd0+-4],") + 1
    message = rf"line {line}: st.global.u32 \[%rd0\+-4\], 1: thread \(0, 0, 0\) of block \(0, 0, 0\) accesses 4"
    with pytest.raises(OutOfBoundsError, match=message):
        run(text, 1, 1, [np.zeros(1, np.uint32)])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("frob.u32 %r1, %r2;", r"line 14: frob.u32 %r1, %r2: this instruction is not known"),
        ("add.u32 %r1, %r2, %r77;", "no register or variable %r77|no register %r77"),
        ("add.u64 %r1, %rd2, %rd3;", "%r1 cannot hold u64"),
        ("bra $NOWHERE;", r"no label \$NOWHERE"),
        ("call.uni nobody;", "has no such function"),
        ("add.sat.s32 %r1, %r2, %r3;", "not supported"),
        ("add.rz.f64 %fd1, %fd2, %fd3;", "to the nearest number only"),
        ("max.xorsign.abs.f32 %f1, %f2, %f3;", "xorsign is not known here"),
        ("fma.rn.relu.f32 %f1, %f2, %f3, %f4;", "relu is not known here"),
        ("cvt.rn.satfinite.tf32.f32 %r1, %f2;", "satfinite is not known here"),
        ("prmt.b32.f4e %r1, %r2, %r3, 1;", "f4e is not known here"),
        ("setp.frob.f32 %p1, %f1, %f2;", "frob is no comparison"),
        ("add.cc.u64 %rd1, %rd2, %rd3;", "supported for 32 bits without a sign"),
        ("madc.hi.s32 %r1, %r2, %r3, %r4;", "supported for 32 bits without a sign"),
        ("???", "not understood"),
        ("bar.sync 1, 64;", "only number 0"),
        ("bar.arrive 0, 64;", "only number 0"),
        ("match.all.sync.b32 %r1|%p1, %r2, 7;", "only match.any"),
        ("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%f1}, {%r1}, {%r2}, {%f2};", "only m16n8k8 of tf32"),
        ("atom.global.frob.u32 %r1, [%rd1], 1;", "not a known atomic"),
        ("cp.async.bulk.commit_group;", "not supported"),
    ],
)
def test_what_is_not_known_is_refused(body, message):
    with pytest.raises(PtxError, match=message):
        run(kernel(body), 1, 1, [])


def test_a_block_has_as_many_threads_as_the_kernel_allows():
    for limit in ("32, 2, 1", "64"):
        limited = kernel("").replace("\n{", f"\n.maxntid {limit}\n{{", 1)
        run(limited, 1, 64, [])
        with pytest.raises(PtxError, match="a block of 65 threads is launched, and the kernel is for 64 at most"):
            run(limited, 1, 65, [])
    with pytest.raises(PtxError, match="for 1024 at most"):
        run(kernel(""), 1, 1025, [])


def test_one_kernel_is_expected():
    with pytest.raises(PtxError, match="there are 0"):
        run("", 1, 1, [])
    with pytest.raises(PtxError, match="there are 2"):
        run(kernel("") + kernel(""), 1, 1, [])


# ----------------------------------------------------------------------------------------------------------------------
# Warps.


def shuffled(mode: str, lane: int, b: int, c: int) -> tuple[int, bool]:
    """The pseudocode of the PTX manual: the lane to take from, and whether it is in range."""
    segment, clamp = c >> 8 & 31, c & 31
    highest, lowest = (lane & segment) | (clamp & ~segment), lane & segment
    if mode == "up":
        j, fits = lane - b, lane - b >= highest
    elif mode == "down":
        j, fits = lane + b, lane + b <= highest
    elif mode == "bfly":
        j, fits = lane ^ b, lane ^ b <= highest
    else:
        j = lowest | (b & ~segment)
        fits = j <= highest
    return (j if fits else lane), fits


@pytest.mark.parametrize("mode", ["up", "down", "bfly", "idx"])
@pytest.mark.parametrize("clamp", [0, 0x1F, 0x181F, 0x1C1F, 0x1003])
def test_shuffles(mode, clamp):
    for distance in (0, 1, 5, 16, 31):
        body = f"shfl.sync.{mode}.b32 %r2|%p1, %r1, {distance}, {clamp}, 0xffffffff;"
        body += "selp.u32 %r3, 1000, 0, %p1; add.u32 %r9, %r2, %r3;"
        x = np.arange(64, dtype=np.uint32)
        wanted = []
        for i in range(64):
            lane, fits = shuffled(mode, i % 32, distance, clamp)
            wanted.append(i // 32 * 32 + lane + 1000 * fits)
        assert list(results(body, x=x)) == wanted


def test_a_shuffle_does_not_wait_for_threads_that_have_ended():
    body = "mov.u32 %r9, 7; st.global.u32 [%rd0], %r9; setp.gt.u32 %p1, %r0, 39; @%p1 ret;"
    body += "shfl.sync.bfly.b32 %r9, %r0, 1, 31, 0xffffffff;"
    assert list(results(body)) == [i ^ 1 if i < 40 else 7 for i in range(64)]


def test_votes_and_matches():
    x = np.array([3, 3, 5] * 22, np.uint32)[:64]
    ballot = "setp.eq.u32 %p1, %r1, 5; vote.sync.ballot.b32 %r9, %p1, 0xffffffff;"
    fives = [sum(1 << i for i in range(32) if x[w * 32 + i] == 5) for w in range(2)]
    assert list(results(ballot, x=x)) == [fives[i // 32] for i in range(64)]
    for mode, wanted in {"any": 1, "all": 0, "uni": 0}.items():
        vote = f"setp.eq.u32 %p1, %r1, 5; vote.sync.{mode}.pred %p2, %p1, 0xffffffff; selp.u32 %r9, 1, 0, %p2;"
        assert set(results(vote, x=x)) == {wanted}
        assert set(results(vote, x=np.full(64, 5, np.uint32))) == {1}
    none = "setp.eq.u32 %p1, %r1, 9; vote.sync.uni.pred %p2, !%p1, 0xffffffff; selp.u32 %r9, 1, 0, %p2;"
    assert set(results(none, x=x)) == {1}
    match = "match.any.sync.b32 %r9, %r1, 0xffffffff;"
    assert list(results(match, x=x)) == [fives[i // 32] ^ (0 if x[i] == 5 else 0xFFFFFFFF) for i in range(64)]


HALVES = "setp.lt.u32 %p1, %r0, 16; selp.b32 %r2, 0xffff, 0xffff0000, %p1; setp.eq.u32 %p2, %r1, 5;"


@pytest.mark.parametrize(
    ("instruction", "wanted"),
    [
        ("vote.sync.ballot.b32 %r9, %p2, %r2;", lambda half, same: sum(1 << i for i in half if same(i, 5))),
        ("vote.sync.all.pred %p3, %p2, %r2; selp.u32 %r9, 1, 0, %p3;", lambda half, same: 0 not in half),
        ("vote.sync.any.pred %p3, !%p2, %r2; selp.u32 %r9, 1, 0, %p3;", lambda half, same: 0 in half),
        ("match.any.sync.b32 %r9, %r1, %r2;", None),
    ],
    ids=["ballot", "all", "any", "match"],
)
def test_halves_of_a_warp_may_vote_by_themselves(instruction, wanted):
    """Both are at the same instruction at the same time, each with a mask of its own."""
    x = np.array([3, 5] * 8 + [5] * 16, np.uint32)
    got = results(HALVES + instruction, 32, x)
    for lane in range(32):
        half = range(16) if lane < 16 else range(16, 32)
        if wanted:
            assert got[lane] == wanted(half, lambda i, number: x[i] == number)
        else:
            assert got[lane] == sum(1 << i for i in half if x[i] == x[lane])


def test_masks_of_lanes():
    assert list(results("activemask.b32 %r9;", 40)) == [0xFFFFFFFF] * 32 + [0xFF] * 8
    half = "mov.u32 %r9, 0; setp.lt.u32 %p1, %r0, 5; @%p1 activemask.b32 %r9;"
    assert list(results(half, 8)) == [0x1F] * 5 + [0] * 3
    for name, wanted in {
        "lt": lambda i: (1 << i) - 1,
        "le": lambda i: (2 << i) - 1,
        "gt": lambda i: 2**32 - (2 << i),
        "ge": lambda i: 2**32 - (1 << i),
        "eq": lambda i: 1 << i,
    }.items():
        assert list(results(f"mov.u32 %r9, %lanemask_{name};")) == [wanted(i % 32) for i in range(64)]


def test_special_registers():
    body = "mov.u32 %r2, %tid.y; mov.u32 %r3, %ntid.x; mov.u32 %r4, %ctaid.x; mov.u32 %r5, %nctaid.y;"
    body += "mov.u32 %r6, %laneid; mov.u32 %r7, %warpid; mad.lo.u32 %r0, %r2, %r3, %r0; ld.param.u64 %rd0, [out];"
    body += "mad.wide.u32 %rd0, %r0, 4, %rd0; mad.lo.u32 %r9, %r5, 1000, %r6; mad.lo.u32 %r9, %r7, 100, %r9;"
    body += "add.u32 %r9, %r9, %r4; setp.ne.u32 %p1, %r4, 0; @%p1 ret;"
    out = np.zeros(60, np.uint32)
    run(kernel(START + body + "st.global.u32 [%rd0], %r9;", OUT), (2, 1), (20, 3), [out])
    assert list(out) == [1000 + 100 * (i // 32) + i % 32 for i in range(60)]


def test_a_product_of_matrices_in_a_warp():
    """One lane's elements are where the PTX manual has them; the result is the product."""
    rng = np.random.default_rng(2)
    a, b, c = (rng.integers(-8, 8, shape).astype(np.float32) for shape in ((16, 8), (8, 8), (16, 8)))
    d = np.zeros((16, 8), np.float32)
    body = ["mov.u32 %r0, %laneid; shr.u32 %r1, %r0, 2; and.b32 %r2, %r0, 3;"]

    def move(opcode, register, array, row, column):
        body.append(f"mov.u32 %r3, {row}; add.u32 %r3, %r3, %r{'1' if array != 'b' else '2'};")
        scale = {"c": 2, "d": 2}.get(array, 1)
        body.append(
            f"mad.lo.u32 %r4, %r{'2' if array != 'b' else '1'}, {scale}, {column}; mad.lo.u32 %r3, %r3, 8, %r4;"
        )
        body.append(f"ld.param.u64 %rd1, [{array}]; mad.wide.u32 %rd1, %r3, 4, %rd1;")
        body.append(f"ld.global.f32 {register}, [%rd1];" if opcode == "ld" else f"st.global.f32 [%rd1], {register};")

    for i, (row, column) in enumerate([(0, 0), (8, 0), (0, 4), (8, 4)]):
        move("ld", f"%f{i}", "a", row, column)
        body.append(f"mov.b32 %r{10 + i}, %f{i};")
    for i, row in enumerate([0, 4]):
        move("ld", "%f4", "b", row, 0)
        body.append(f"mov.b32 %r{14 + i}, %f4;")
    corners = [(0, 0), (0, 1), (8, 0), (8, 1)]
    for i, (row, column) in enumerate(corners):
        move("ld", f"%f{5 + i}", "c", row, column)
    mma = "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32"
    body.append(f"{mma} {{%f9,%f10,%f11,%f12}}, {{%r10,%r11,%r12,%r13}}, {{%r14,%r15}}, {{%f5,%f6,%f7,%f8}};")
    for i, (row, column) in enumerate(corners):
        move("st", f"%f{9 + i}", "d", row, column)
    text = kernel("\n".join(body), [("u64", name) for name in "abcd"])
    run(text, 1, 32, [a, b, c, d])
    np.testing.assert_array_equal(d, a @ b + c)
    a[3, 3] = 1 / 3
    with pytest.raises(KernelError, match="not been rounded to tf32"):
        run(text, 1, 32, [a, b, c, d])
    with pytest.raises(DivergenceError, match="whole warp"):
        run(text, 1, 16, [np.round(a), b, c, d])


COPY = """
    mul.lo.u32 %r2, %r0, 16;
    ld.param.u64 %rd3, [x];
    mad.wide.u32 %rd2, %r0, 16, %rd3;
    mov.u32 %r3, s;
    add.u32 %r2, %r2, %r3;
    cp.async.cg.shared.global [%r2], [%rd2], 16{};
    cp.async.commit_group;
"""


def test_asynchronous_copies_arrive_when_they_are_waited_for():
    x = np.arange(64, dtype=np.uint32)
    wait = "cp.async.wait_group 0; ld.shared.u32 %r9, [%r2+8];"
    assert list(results(COPY.format("") + wait, 16, x, variables=SHARED)) == [4 * i + 2 for i in range(16)]
    assert list(results(COPY.format(", 8") + wait, 16, x, variables=SHARED)) == [0] * 16
    assert list(results(COPY.format("") + wait.replace("wait_group 0", "wait_all"), 16, x, variables=SHARED))[1] == 6
    with pytest.raises(UninitialisedError):
        results(COPY.format("") + wait.replace("group 0", "group 1"), 16, x, variables=SHARED)
    again = wait.replace("ld.shared", "cp.async.cg.shared.global [%r2], [%rd2], 16; ld.shared")
    with pytest.raises(UninitialisedError):
        results(COPY.format("") + again, 16, x, variables=SHARED)
    with pytest.raises(RaceError):
        results(COPY.format("") + "cp.async.wait_group 0; ld.shared.u32 %r9, [s];", 16, x, variables=SHARED)


# ----------------------------------------------------------------------------------------------------------------------
# Barriers.


@pytest.mark.parametrize(("operation", "wanted"), [("popc.u32 %r9", 22), ("and.pred %p2", 0), ("or.pred %p2", 1)])
def test_barriers_that_count(operation, wanted):
    body = f"rem.u32 %r2, %r0, 3; setp.eq.u32 %p1, %r2, 0; bar.red.{operation}, 0, %p1;"
    body += "selp.u32 %r9, 1, 0, %p2;" if "pred" in operation else ""
    assert set(results(body)) == {wanted}


NEIGHBOUR = "mov.u32 %r3, s; mad.lo.u32 %r2, %r0, 4, %r3; st.shared.u32 [%r2], %r0; {} ld.shared.u32 %r9, [{}];"
LAST_WRITES = "setp.eq.u32 %p1, %r0, 63; @%p1 st.shared.u32 [s+252], 0; @%p1 st.shared.u32 [s], 0;"
PARTNER = "xor.b32 %r4, %r0, 1; mad.lo.u32 %r4, %r4, 4, %r3;"


def test_a_barrier_orders_what_threads_do():
    assert list(results(NEIGHBOUR.format(PARTNER + "bar.sync 0;", "%r4"), variables=SHARED)) == [
        i ^ 1 for i in range(64)
    ]
    assert list(results(NEIGHBOUR.format(PARTNER + "bar.warp.sync 0xffffffff;", "%r4"), variables=SHARED)) == [
        i ^ 1 for i in range(64)
    ]


@pytest.mark.parametrize(
    "body",
    [
        NEIGHBOUR.format(PARTNER, "%r4"),
        NEIGHBOUR.format(PARTNER.replace("1", "32", 1) + "bar.warp.sync 0xffffffff;", "%r4"),
        NEIGHBOUR.format("bar.sync 0; st.shared.u32 [%r2], 5;" + PARTNER, "%r4"),
        "mov.u32 %r9, 0; st.shared.u32 [s], %r0;",
        NEIGHBOUR.format("bar.sync 0;" + PARTNER, "%r4") + "st.shared.u32 [%r2], 0;",
        NEIGHBOUR.format("bar.sync 0; ld.shared.u32 %r5, [s+8];", "s+8") + "st.shared.u32 [%r2], 0;",
        NEIGHBOUR.format("bar.sync 0; atom.shared.add.u32 %r5, [s], 1;", "s"),
        NEIGHBOUR.format("bar.sync 0;", "s") + LAST_WRITES,
        NEIGHBOUR.format("bar.sync 0;", "s") + "bar.warp.sync 0xffffffff;" + LAST_WRITES,
        NEIGHBOUR.format("bar.sync 0;", "%r2")
        + "setp.eq.u32 %p1, %r0, 0; @%p1 ld.shared.u32 %r9, [s+252];"
        + LAST_WRITES,
        NEIGHBOUR.format("bar.sync 0;", "%r2") + "setp.lt.u32 %p1, %r0, 1; @%p1 ld.shared.u32 %r9, [s+252];"
        "bar.warp.sync 0xffffffff; setp.gt.u32 %p1, %r0, 62; @%p1 ld.shared.u32 %r9, [s+252];" + LAST_WRITES,
    ],
    ids=[
        "read",
        "other warp",
        "read again",
        "same word",
        "write after read",
        "write after reads",
        "atomic and plain",
        "write by one of the readers",
        "write by one of the readers, after a barrier for its warp",
        "write after two reads",
        "write after two reads, with a barrier for warps",
    ],
)
def test_races_in_shared_memory_are_found(body):
    with pytest.raises(RaceError, match="shared memory at byte"):
        results(body, variables=SHARED)


def test_a_thread_may_do_what_it_likes_with_its_own_words():
    body = NEIGHBOUR.format("ld.shared.u32 %r5, [%r2];", "%r2") + "st.shared.u32 [%r2], 0; st.shared.u32 [%r2], 1;"
    assert list(results(body, variables=SHARED)) == list(range(64))


@pytest.mark.parametrize("barrier", ["bar.sync 0;", "bar.warp.sync 0xffffffff;"])
def test_reads_before_a_barrier_are_over_behind_it(barrier):
    body = NEIGHBOUR.format(PARTNER + barrier, "%r4") + barrier
    body += "ld.shared.u32 %r5, [%r2]; st.shared.u32 [%r2], 0;"
    assert list(results(body, variables=SHARED)) == [i ^ 1 for i in range(64)]


def test_races_between_blocks_are_found():
    first_reads = "mov.u32 %r2, %ctaid.x; setp.eq.u32 %p1, %r2, 0; mov.u32 %r9, 0; ld.param.u64 %rd2, [out];"
    first_reads += "@%p1 ld.global.u32 %r9, [%rd2+4]; @%p1 ret; add.s64 %rd0, %rd2, 4;"
    with pytest.raises(RaceError, match="thread 0 of another block has read"):
        results(first_reads, 1, grid=2)
    every_block = "ld.param.u64 %rd0, [out]; ld.global.u32 %r9, [%rd0]; add.u32 %r9, %r9, 1;"
    with pytest.raises(RaceError, match=r"at byte 0 of argument 0, which thread 0 of another block has"):
        results(every_block, 1, grid=2)
    with pytest.raises(RaceError, match="another block has written"):
        results("ld.param.u64 %rd0, [out]; mov.u32 %r9, 5;", 1, grid=2)
    added = "mov.u32 %r9, 5; ld.param.u64 %rd2, [out]; red.global.add.u32 [%rd2+4], 1;"
    added += "mov.u32 %r2, %ctaid.x; setp.ne.u32 %p1, %r2, 0; @%p1 ret;"
    assert list(results(added, 1, grid=2)) == [5, 2]


def test_bytes_do_not_disturb_their_neighbours():
    out = np.zeros(40, np.uint8)
    body = "mov.u32 %r0, %tid.x; ld.param.u64 %rd0, [out]; cvt.u64.u32 %rd1, %r0; add.s64 %rd0, %rd0, %rd1;"
    body += "st.global.u8 [%rd0], %r0;"
    run(kernel(body, OUT), 1, 40, [out])
    assert list(out) == list(range(40))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("setp.lt.u32 %p1, %r0, 5; @%p1 ret; bar.sync 0;", "5 of 64 threads never reach"),
        ("setp.lt.u32 %p1, %r0, 5; @%p1 bra $A; bar.sync 0; bra $B; $A: bar.sync 0; $B:", "at another one, in line"),
        (
            "setp.lt.u32 %p1, %r0, 5; @%p1 shfl.sync.bfly.b32 %r2, %r0, 1, 31, 0xffffffff;",
            r"waits for lanes \[5, 6, 7,",
        ),
        ("setp.lt.u32 %p1, %r0, 5; @%p1 vote.sync.any.pred %p2, %p1, 0xff;", r"waits for lanes \[5, 6, 7\]"),
        ("bar.warp.sync 0xfffffffe;", "not in the mask"),
    ],
)
def test_threads_that_miss_the_others_are_found(body, message):
    with pytest.raises(DivergenceError, match=message):
        results(body + "mov.u32 %r9, 0;")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("ld.shared.u32 %r9, [s];", "writes to global memory a value that line"),
        (
            "mov.u32 %r9, 0; ld.shared.u32 %r2, [s]; add.u32 %r2, %r2, 1; setp.eq.u32 %p1, %r2, 7; @%p1 bra $E; $E:",
            "decides by",
        ),
        ("mov.u32 %r9, 0; ld.shared.u32 %r2, [s]; ld.shared.u32 %r3, [%r2];", "takes as an address"),
        ("ld.shared.u32 %r2, [s]; shfl.sync.idx.b32 %r9, %r2, 0, 31, 0xffffffff;", "writes to global"),
        (
            "mov.u32 %r9, 0; ld.shared.u32 %r2, [s]; setp.eq.u32 %p1, %r2, 7; vote.sync.any.pred %p2, %p1, 0xffffffff;",
            "hands",
        ),
        ("ld.shared.u32 %r2, [s]; bar.sync 0; st.shared.u32 [s+4], %r2; ld.shared.u32 %r9, [s+4];", "writes to global"),
        ("mov.u32 %r9, 0; atom.shared.add.u32 %r2, [s], 1;", "changes what nobody has written"),
        (".local .b8 mine[4]; ld.local.u32 %r9, [mine];", "writes to global"),
        ("shfl.sync.down.b32 %r9, %r0, 16, 31, 0xffff;", "writes to global"),
        (
            "setp.lt.u32 %p1, %r0, 8; selp.b32 %r2, 0xff, 0xff00, %p1; shfl.sync.bfly.b32 %r9, %r0, 8, 31, %r2;",
            "writes to global",
        ),
    ],
)
def test_results_that_hang_from_nothing_are_found(body, message):
    with pytest.raises(UninitialisedError, match=message):
        results(body, 1 if "s+4" in body else 16, variables=SHARED)


def test_a_block_does_not_find_what_the_one_before_has_left():
    body = "mov.u32 %r2, %ctaid.x; setp.eq.u32 %p1, %r2, 0; @%p1 st.shared.u32 [s], 5; ld.shared.u32 %r9, [s];"
    with pytest.raises(UninitialisedError, match=r"thread \(0, 0, 0\) of block \(1, 0, 0\) writes to global"):
        results(body + "mad.wide.u32 %rd0, %r2, 4, %rd0;", 1, variables=SHARED, grid=2)


def test_what_is_read_and_not_used_is_no_fault():
    read = "ld.shared.u32 %r2, [s]; setp.eq.u32 %p1, %r2, 7; setp.gt.u32 %p2, %r0, 99;"
    assert set(results(read + "selp.u32 %r9, %r2, 5, %p2;", variables=SHARED)) == {5}
    assert set(results(read + "and.pred %p3, %p1, %p2; selp.u32 %r9, 1, 5, %p3;", variables=SHARED)) == {5}
    assert set(results(read + "mov.u32 %r2, 8; mov.u32 %r9, %r2;", variables=SHARED)) == {8}


def test_vectors_must_be_aligned():
    body = "ld.param.u64 %rd1, [x]; ld.global.v4.f32 {%f0,%f1,%f2,%f3}, [%rd1];"
    body += "ld.param.u64 %rd0, [out]; st.global.f32 [%rd0], %f3;"
    x, out = np.arange(9, dtype=np.float32), np.zeros(1, np.float32)
    run(kernel(body, BOTH), 1, 1, [out, x[4:]])
    assert out[0] == 7
    with pytest.raises(MisalignedError, match="accesses 16 bytes of global memory 4 bytes behind a multiple of that"):
        run(kernel(body, BOTH), 1, 1, [out, x[1:]])


def test_accesses_beside_an_array_are_found():
    for offset, message in ((-4, "4 bytes before argument 1"), (36, "0 bytes behind the end of argument 1")):
        body = f"ld.param.u64 %rd1, [x]; ld.global.u32 %r1, [%rd1+{offset}];"
        with pytest.raises(OutOfBoundsError, match=message):
            run(kernel(body, BOTH), 1, 1, [np.zeros(1, np.float32), np.zeros(9, np.float32)])
    with pytest.raises(OutOfBoundsError, match="has 16 bytes"):
        run(kernel(".local .b8 mine[16]; mov.u32 %r1, 20; ld.local.u32 %r1, [%r1];"), 1, 1, [])


def test_a_loop_without_end_is_found(monkeypatch):
    monkeypatch.setattr("ptx.execution.PATIENCE", 1000)
    with pytest.raises(KernelError, match="has not ended after 1000 instructions"):
        results("$LOOP: bra $LOOP;")


def test_one_access_goes_to_one_memory():
    body = "mov.u64 %rd2, s; cvta.shared.u64 %rd2, %rd2; setp.eq.u32 %p1, %r0, 3; selp.b64 %rd3, %rd0, %rd2, %p1;"
    with pytest.raises(KernelError, match=r"line \d+: ld.u32 .* thread \(3, 0, 0\) .* another memory than thread 0"):
        results(body + "ld.u32 %r9, [%rd3];", variables=SHARED)


def test_volatile_accesses_may_meet_atomic_ones():
    body = (
        "setp.eq.u32 %p1, %r0, 0; @%p1 st.shared.u32 [s], 0; bar.sync 0; atom.shared.add.u32 %r2, [s], 1; {} %r9, [s];"
    )
    assert set(results(body.format("ld.volatile.shared.u32"), variables=SHARED)) == {64}
    with pytest.raises(RaceError):
        results(body.format("ld.shared.u32"), variables=SHARED)


def test_a_trap_is_a_fault():
    with pytest.raises(KernelError, match=r"thread \(7, 0, 0\) of block \(0, 0, 0\) has reached a trap"):
        results("setp.eq.u32 %p1, %r0, 7; @%p1 trap;")


def test_without_checks_wrong_kernels_run_to_their_end():
    got = results(NEIGHBOUR.format(PARTNER, "%r4"), variables=SHARED, check=False)
    assert list(got) == [i ^ 1 for i in range(64)]  # right, as threads run in lock step here
    assert set(results("ld.shared.u32 %r9, [s];", variables=SHARED, check=False)) == {0xFFFFFFFF}


# ----------------------------------------------------------------------------------------------------------------------
# What is counted.


def traffic(step: int, size: str = "f32", threads: int = 32):
    """The profile of a kernel whose threads load from shared and global memory, `step` bytes apart."""
    vector = {"f32": ("f32", "%f0"), "v2": ("v2.f32", "{%f0,%f1}"), "v4": ("v4.f32", "{%f0,%f1,%f2,%f3}")}[size]
    body = f"mov.u32 %r0, %tid.x; ld.param.u64 %rd1, [x]; mad.wide.u32 %rd1, %r0, {step}, %rd1;"
    body += f"ld.global.{vector[0]} {vector[1]}, [%rd1]; mov.u32 %r2, s; mad.lo.u32 %r2, %r0, {step}, %r2;"
    body += f"st.shared.{vector[0]} [%r2], {vector[1]};"
    return run(kernel(body, [("u64", "x")], ".shared .align 16 .b8 s[8192];"), 1, threads, [np.zeros(2048, np.float32)])


@pytest.mark.parametrize(
    ("step", "size", "sectors", "wavefronts", "conflicts"),
    [
        (4, "f32", 4, 1, 0),
        (8, "f32", 8, 2, 1),
        (128, "f32", 32, 32, 31),
        (132, "f32", 32, 1, 0),
        (8, "v2", 8, 2, 0),
        (16, "v4", 16, 4, 0),
        (32, "v4", 32, 8, 4),
    ],
)
def test_sectors_and_conflicts_are_counted(step, size, sectors, wavefronts, conflicts):
    profile = traffic(step, size)
    assert (profile.global_loads.requests, profile.global_loads.sectors) == (1, sectors)
    assert profile.global_loads.sectors_per_request == sectors
    assert profile.global_loads.bytes == 32 * {"f32": 4, "v2": 8, "v4": 16}[size]
    assert (profile.shared_stores.wavefronts, profile.shared_stores.conflicts) == (wavefronts, conflicts)
    assert profile.shared_loads.requests == profile.global_stores.requests == 0


def test_threads_that_read_one_word_share_it():
    body = "st.shared.u32 [s], 1; st.shared.u32 [s+128], 2; mov.u32 %r0, %tid.x;"
    body += "and.b32 %r1, %r0, 1; mov.u32 %r2, s; mad.lo.u32 %r2, %r1, {}, %r2; ld.shared.u32 %r3, [%r2];"
    for step, conflicts in ((0, 0), (4, 0), (128, 1)):
        text = kernel(body.format(step), [], ".shared .align 16 .b8 s[256];")
        assert run(text, 1, 32, [], check=False).shared_loads.conflicts == conflicts


def test_instructions_are_counted_once_for_each_warp():
    profile = run(kernel("setp.lt.u32 %p1, %r0, 5; add.u32 %r1, %r1, 1; add.f32 %f1, %f1, %f2;"), 3, 40, [])
    assert profile.warp_instructions == 3 * 2 * 4
    assert profile.opcodes["add.u32"] == 6
    assert profile.count("add") == 12
    assert profile.count("ad") == 0
