"""How lessons 23 and 90 measure, and what they say of the machine that they measure on."""

import math
import platform
import time
from pathlib import Path

from llvmlite import binding as llvm


def seconds(function, *arguments, budget=0.1):
    """Of one call. The best of many: other programs can only make a call slower, never faster."""
    function(*arguments)  # compiles it, if it has not been, and brings the data into the caches
    best, calls, end = math.inf, 1, time.perf_counter() + budget
    while best == math.inf or time.perf_counter() < end:
        before = time.perf_counter()
        for _ in range(calls):
            function(*arguments)
        taken = time.perf_counter() - before
        best = min(best, taken / calls)
        if taken < 1e-4:  # too short for the clock: next time, more calls in a row
            calls *= 4
    return best


def machine():
    """What this machine's processor calls itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def register_bits():
    """How wide the registers of this processor are."""
    features = llvm.get_host_cpu_features()
    return 512 if features.get("avx512f") else 256 if features.get("avx") else 128
