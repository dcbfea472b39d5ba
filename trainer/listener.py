"""Whom a training tells how it goes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ray.actor import ActorHandle


class Listener(Protocol):
    """Whom a training tells how it goes, on every rank alike."""

    def step(self, number: int, values: Mapping[str, Any]) -> None:
        """So many steps are done; figures of the last one."""

    def goes_on(self, number: int, record: Mapping[str, Any]) -> bool:
        """What a validation before the last step measured; False ends the training there. The same on all ranks."""


class Telling:
    """A listener that has rank 0 tell a board, and lets every training go on."""

    def __init__(self, board: "ActorHandle | None") -> None:
        self._board = board

    def step(self, number: int, values: Mapping[str, Any]) -> None:
        """Tell the board."""
        from trainer.ranks import rank

        if self._board is not None and rank() == 0:
            self._board.update.remote(number, values)

    def goes_on(self, number: int, record: Mapping[str, Any]) -> bool:
        """Always."""
        return True
