"""PTX text as data: one kernel, its parameters, its memory and its instructions.

This reads what NVVM writes, and PTX by hand in that manner: one statement a line or several with semicolons, labels,
declarations, one `.entry`. Functions (`.func`) are written out where they are called, so that what executes a kernel
needs no calls.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from .faults import PtxError
from .formats import DTYPES, number, width

_STATEMENT = re.compile(r"\s*(?:@(!?)([%\w$]+)\s+)?([a-z][\w.:]*)\s*(.*)", re.DOTALL)
_LABEL = re.compile(r"([\w$]+):")
#: A label, the brace of a scope, or a statement up to its semicolon.
_PIECE = re.compile(r"\s*(?P<text>[\w$]+:(?!:)|[{}](?=\s|\Z)|[^;]*[^;\s])\s*;?")
_REGISTERS = re.compile(r"\.reg\s+\.(\w+)\s+([^;]+);")
_VARIABLE = re.compile(
    r"((?:\.(?:extern|visible|weak|common)\s+)*)\.(shared|local|global|const)\s+(?:\.align\s+(\d+)\s+)?"
    r"\.(\w+)\s+([\w$.]+)(?:\[(\d*)\])?\s*(?:=\s*(\{[^}]*\}|[^;]+))?;"
)
_FUNCTION = r"\.{kind}\s+(?:\(([^)]*)\)\s*)?([\w$]+)\s*\(([^)]*)\)([^{{;]*)\{{"


@dataclass(frozen=True)
class Instruction:
    """One instruction.

    line: where it stands in the text, from 1.
    text: the statement as it is written.
    guard: the predicate that says which threads execute it, None for all; they are the others where `negated`.
    words: the opcode's parts, for example ("ld", "global", "v4", "f32").
    operands: as they are written, for example ("{%f1,%f2,%f3,%f4}", "[%rd1+16]").
    """

    line: int
    text: str
    guard: str | None
    negated: bool
    words: tuple[str, ...]
    operands: tuple[str, ...]

    @property
    def family(self) -> str:
        return self.words[0]

    @property
    def opcode(self) -> str:
        return ".".join(self.words)

    @property
    def kinds(self) -> list[str]:
        """The types in the opcode, in order; `cvt.rn.f32.s64` has two."""
        return [word for word in self.words[1:] if word in DTYPES]

    @property
    def kind(self) -> str:
        """The type that the opcode ends with."""
        if not self.kinds:
            raise self.error("an instruction without a type")
        return self.kinds[-1]

    def has(self, *words: str) -> str | None:
        """The first of some words that is among the opcode's parts."""
        return next((word for word in words if word in self.words[1:]), None)

    def error(self, message: str) -> PtxError:
        return PtxError(f"line {self.line}: {self.text}: {message}")


@dataclass
class Space:
    """Variables laid out one behind the other: the place, the size and the value of each, and the bytes of all."""

    places: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    size: int = 0
    values: dict[str, bytes] = field(default_factory=dict)

    def add(self, name: str, size: int, alignment: int, value: bytes = b"") -> None:
        self.size = -(-self.size // alignment) * alignment
        self.places[name], self.sizes[name] = self.size, size
        self.size += size
        if value:
            self.values[name] = value


@dataclass
class Kernel:
    """An entry of a PTX text.

    parameters: (type, name) of each, in order.
    registers: the type of each, by name.
    shared: its variables; an array whose size a launch decides has the size 0 and comes last.
    local: what each thread has for itself. constants: tables that the text brings along.
    labels: the index of the instruction that a label stands before. branches: the labels of a jump table.
    most_threads: of a block; more cannot be launched.
    """

    parameters: list[tuple[str, str]]
    registers: dict[str, str] = field(default_factory=dict)
    shared: Space = field(default_factory=Space)
    local: Space = field(default_factory=Space)
    constants: Space = field(default_factory=Space)
    instructions: list[Instruction] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)
    branches: dict[str, list[str]] = field(default_factory=dict)
    most_threads: int = 1024

    def place(self, name: str) -> tuple[str, int] | None:
        """The state space and the offset of a variable; None if there is none of this name."""
        for space in ("shared", "local", "constants"):
            if name in getattr(self, space).places:
                return space, getattr(self, space).places[name]
        return None


@dataclass
class _Function:
    """A `.func` or `.entry` as text; `line` is where its body begins."""

    name: str
    results: list[tuple[str, str]]
    parameters: list[tuple[str, str]]
    body: str
    line: int


def parse(ptx: str) -> Kernel:
    """The one kernel of a PTX text. Raises PtxError where there is none, or more than one."""
    text = re.sub(r"/\*.*?\*/", lambda comment: "\n" * comment[0].count("\n"), ptx, flags=re.DOTALL)
    text = re.sub(r"//[^\n]*|^[ \t]*\.(loc|file)\s[^\n]*", "", text, flags=re.MULTILINE)
    entries = list(_functions(text, "entry"))
    if len(entries) != 1:
        raise PtxError(f"one kernel (.entry) is expected, and there are {len(entries)}")
    kernel = Kernel(entries[0].parameters)
    if any(kind not in DTYPES for kind, _ in kernel.parameters):
        raise PtxError(f"parameters that are structures are not supported: {kernel.parameters}")
    if limits := re.search(r"\.maxntid\s+([\d,\s]+)", text):
        kernel.most_threads = math.prod(map(int, limits[1].split(",")))
    _declare(kernel, text)
    _Body(kernel, {function.name: function for function in _functions(text, "func")}).read(entries[0])
    return kernel


def _functions(text: str, kind: str) -> Iterator[_Function]:
    """Those with a body; declarations alone are passed over."""
    for match in re.finditer(_FUNCTION.format(kind=kind), text):
        end = _closing_brace(text, match.end())
        yield _Function(
            match[2],
            _parameters(match[1] or ""),
            _parameters(match[3]),
            text[match.end() : end],
            text.count("\n", 0, match.end()) + 1,
        )


def _closing_brace(text: str, start: int) -> int:
    """The index of the brace that closes what was opened before `start`."""
    depth = 1
    for match in re.finditer(r"[{}]", text[start:]):
        depth += 1 if match[0] == "{" else -1
        if depth == 0:
            return start + match.start()
    raise PtxError("a brace is never closed")


def _parameters(text: str) -> list[tuple[str, str]]:
    """(type, name) of each, from declarations such as `.param .u64 .ptr .align 1 name`; "structure" for arrays."""
    found = []
    for words in (declaration.split() for declaration in text.split(",") if declaration.strip()):
        name, _, array = words[-1].partition("[")
        kind = next(word[1:] for word in words if word[1:] in DTYPES)
        found.append(("structure" if array else kind, name))
    return found


def _declare(kernel: Kernel, text: str) -> None:
    """Lay out the variables of the module and of its functions; behind them dynamic shared memory, as far aligned as it
    says, and no further.
    """
    dynamic: dict[str, int] = {}
    for linkage, space, alignment, kind, name, count, value in _VARIABLE.findall(text):
        if space == "shared" and (".extern" in linkage or count == "0"):
            dynamic[name] = int(alignment or width(kind))
            continue
        if ".common" in linkage:  # Numba's environment, which device code does not use
            continue
        size = width(kind) * int(count or 1)
        where = kernel.constants if space in ("global", "const") else getattr(kernel, space)
        numbers = [number(word.strip(), kind).tobytes() for word in value.strip("{} ").split(",") if word.strip()]
        where.add(name, size, int(alignment or width(kind)), b"".join(numbers).ljust(size, b"\0"))
    for name in dynamic:  # all of them are the same memory
        kernel.shared.add(name, 0, max(dynamic.values()))


class _Body:
    """Reads the statements of a function into a kernel, and those of the functions it calls in place of the calls.

    Names in a function that is called begin with a prefix of this call, so that they cannot be taken for those of the
    caller or of another call. What is passed goes through registers as well: `[param0+8]` is one of that name.
    """

    def __init__(self, kernel: Kernel, functions: dict[str, _Function]):
        self.kernel, self.functions, self.calls = kernel, functions, 0
        self.prefix, self.passed, self.label = "", {}, ""

    def read(self, function: _Function) -> None:
        self._declare_registers(function.body)
        for line, statement in _statements(function.body, function.line):
            self._read_statement(line, statement)
        if self.prefix:  # where the `ret` of a function that was called leads
            self.kernel.labels[f"{self.prefix}ret"] = len(self.kernel.instructions)
        else:
            self._add(line, "ret", None, False, ("ret",), ())

    def _declare_registers(self, body: str) -> None:
        for kind, names in _REGISTERS.findall(body):
            for name in names.split(","):
                stem, _, count = name.strip().rstrip(">").partition("<")
                for one in [f"{stem}{i}" for i in range(int(count))] if count else [stem]:
                    self.kernel.registers[self.prefix + one] = kind

    def _read_statement(self, line: int, statement: str) -> None:
        if label := _LABEL.fullmatch(statement):
            self.label = self.prefix + label[1]
            self.kernel.labels[self.label] = len(self.kernel.instructions)
        elif statement.startswith(".branchtargets"):
            targets = statement.removeprefix(".branchtargets").split(",")
            self.kernel.branches[self.label] = [self.prefix + target.strip() for target in targets]
        elif not statement.startswith("."):
            self._read_instruction(line, statement)

    def _read_instruction(self, line: int, statement: str) -> None:
        match = _STATEMENT.fullmatch(statement)
        if not match:
            raise PtxError(f"line {line}: not understood: {statement}")
        guard, words = match[2] and self._renamed(match[2]), tuple(match[3].split("."))
        rest = (line, statement, guard, match[1] == "!")
        if words[0] == "call":
            self._call(line, match[4])
        elif words[0] == "ret" and self.prefix:
            self._add(*rest, ("bra",), (f"{self.prefix}ret",))
        elif words[0] in ("bra", "brx"):
            labels = [name if name.startswith("%") else self.prefix + name for name in split(match[4])]
            self._add(*rest, words, tuple(self._renamed(name) for name in labels))
        elif words[:2] == ("st", "param") or (words[:2] == ("ld", "param") and self._is_passed(match[4])):
            bits = f"b{8 * width(words[-1])}"
            self._add(*rest, ("mov", bits), tuple(self._passed(name) for name in split(match[4])))
        else:
            self._add(*rest, words, tuple(self._renamed(operand) for operand in split(match[4])))

    def _add(self, *fields) -> None:
        self.kernel.instructions.append(Instruction(*fields))

    def _renamed(self, operand: str) -> str:
        """An operand of the function that is read, with its registers by the names that they have in the kernel."""
        if not self.prefix:
            return operand

        def renamed(name):
            return self.prefix + name[0] if self.prefix + name[0] in self.kernel.registers else name[0]

        return re.sub(r"[%\w$]+", renamed, operand)

    def _is_passed(self, operands: str) -> bool:
        """Whether what is loaded belongs to a call, and is no parameter of the kernel."""
        name = re.search(r"\[\s*([\w$]+)", operands)[1]
        return all(name != parameter for _, parameter in self.kernel.parameters)

    def _passed(self, operand: str) -> str:
        """The register in place of `[param0+8]`, wide enough for all types; other operands as they are."""
        place = re.fullmatch(r"\[\s*([\w$]+)\s*(?:\+\s*(\d+))?\s*\]", operand)
        if not place:
            return self._renamed(operand)
        register = f"{self.passed.get(place[1], self.prefix + place[1])}+{place[2] or 0}"
        self.kernel.registers[register] = "b64"
        return register

    def _call(self, line: int, operands: str) -> None:
        """Read the function that is called, with its parameters and results under the caller's names for them."""
        parts = split(operands)
        results = parts.pop(0) if operands.startswith("(") else ""
        name, given = parts[0], parts[1] if len(parts) > 1 else ""
        function = self.functions.get(name)
        if function is None:
            raise PtxError(f"line {line}: the text calls {name}, and has no such function")
        words = [word.strip() for group in (results, given) for word in group.strip("()").split(",")]
        given = [self.prefix + word for word in words if word]
        names = [name for _, name in [*function.results, *function.parameters]]
        outer = self.prefix, self.passed
        self.calls += 1
        self.prefix, self.passed = f"call{self.calls}_", dict(zip(names, given, strict=True))
        self.read(function)
        self.prefix, self.passed = outer


def _statements(body: str, line: int) -> Iterator[tuple[int, str]]:
    """(line, text) of each statement and of each label; the braces of scopes are dropped."""
    start = 0
    while piece := _PIECE.match(body, start):
        start = piece.end()
        if piece["text"].strip("{}"):
            yield line + body.count("\n", 0, piece.start("text")), " ".join(piece["text"].split())


def split(operands: str) -> list[str]:
    """The operands of an instruction: separated by commas that stand in no bracket."""
    found, depth = [""], 0
    for letter in operands:
        depth += (letter in "[{(") - (letter in "]})")
        if letter == "," and depth == 0:
            found.append("")
        else:
            found[-1] += letter
    return [operand.strip() for operand in found if operand.strip()]
