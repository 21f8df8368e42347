"""What tests ask of pictures."""


def labels(ax):
    """The texts of the legend."""
    return [text.get_text() for text in ax.get_legend().get_texts()]


def lines(ax):
    """The lines, by label."""
    return {line.get_label(): line for line in ax.lines}


def draw(ax):
    """The axes, whose figure has been drawn without an error."""
    ax.figure.canvas.draw()
    return ax
