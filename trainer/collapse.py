"""An encoder that has collapsed: it gives all texts the same vector, and no text can be told from another."""

from cluster.logs import get_logger

_ALIKE = 0.998
"""Length of the mean of vectors, 1 where they are all the same. A fresh encoder of 8 dimensions begins at 0.99, one of
32 at 0.976; collapsed ones, whose dropout still tells texts apart a little, were seen between 0.9985 and 0.9995."""
_STEPS = 10
_logger = get_logger("collapse")


class CollapseWatch:
    """Warns, once, when vectors have been alike for many steps.

    Args:
        warmup: steps over which the learning rate rises: a fresh encoder may begin like that.
    """

    def __init__(self, warmup: int) -> None:
        self._patience, self._steps = warmup + _STEPS, 0

    def saw(self, step: int, likeness: float) -> None:
        """Take note of a step's vectors (`StepResult.likeness`)."""
        self._steps = self._steps + 1 if likeness > _ALIKE else 0
        if self._steps == self._patience:
            _logger.warning(
                "step %d: all vectors have been alike for %d steps (their mean is %.5f long, of 1): the encoder has "
                "collapsed; lower training.engine.learning_rate, raise training.schedule.warmup, or look at the texts",
                step,
                self._patience,
                likeness,
            )
