"""PTX by hand, for tests of what executes it."""

_TEXT = """
.version 8.0
.target sm_90
.address_size 64
{variables}
.visible .entry kernel({parameters})
{{
    .reg .pred %p<8>;
    .reg .b16 %rs<8>;
    .reg .b32 %r<20>;
    .reg .f32 %f<20>;
    .reg .b64 %rd<20>;
    .reg .f64 %fd<20>;
{body}
    ret;
}}
"""


def kernel(body: str, parameters=(), variables: str = "") -> str:
    """The text of a kernel around some instructions; parameters are (type, name)."""
    listed = ", ".join(f".param .{kind} {name}" for kind, name in parameters)
    return _TEXT.format(body=body, parameters=listed, variables=variables)
