"""What happens around the training loop, apart from training."""

from __future__ import annotations

from tqdm.auto import tqdm

from nn.history import Run


class Callback:
    """Called around the loop; a subclass says what it does at which moment. See `nn.Run` for what it sees."""

    def on_train_begin(self, run: Run) -> None:
        """Before the first step."""

    def on_step_end(self, run: Run) -> None:
        """After each update."""

    def on_epoch_end(self, run: Run) -> None:
        """After each epoch and its validation."""

    def on_train_end(self, run: Run) -> None:
        """After the last step, also when an error ended the training."""


class Progress(Callback):
    """A progress bar over the epochs, with the loss beside it.

    description: what stands before the bar.
    leave: whether the bar stays when training is over.
    """

    def __init__(self, description: str = "training", leave: bool = True) -> None:
        self.description = description
        self.leave = leave

    def on_train_begin(self, run: Run) -> None:
        self.bar = tqdm(total=run.epochs, desc=self.description, unit="epoch", leave=self.leave)

    def on_epoch_end(self, run: Run) -> None:
        self.bar.set_postfix(loss=f"{run.history.loss[-1]:.4g}", refresh=False)
        self.bar.update()

    def on_train_end(self, run: Run) -> None:
        self.bar.close()
