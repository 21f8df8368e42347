"""The engine on NVIDIA's graphics processors: kernels, and what compiles and launches them.

Nothing here is imported with `fast`: whoever has no GPU need not wait for a compiler that they cannot use.
`package` chooses the compiler, `devices` tells what this machine has, `registry` lists the kernels.
"""
