"""What is raised when PTX cannot be read, or when a kernel does what a kernel must not do."""


class PtxError(Exception):
    """The text is not understood, or an argument does not fit."""


class KernelError(PtxError):
    """A thread did something that has no meaning on a GPU; the message names the line, the thread and what it did.

    thread: its number in the block, None where no single one is to blame.
    """

    def __init__(self, what: str, thread: int | None = None):
        super().__init__(what)
        self.what, self.thread = what, thread


class OutOfBoundsError(KernelError):
    """An access outside of every array."""


class MisalignedError(KernelError):
    """An access at an address that is not a multiple of its width."""


class RaceError(KernelError):
    """Two threads touched one word, at least one of them wrote, and nothing put them in an order."""


class DivergenceError(KernelError):
    """A barrier, or an instruction for a whole warp, that some of its threads did not reach."""


class UninitialisedError(KernelError):
    """A result hangs from memory that nobody has written."""
