"""How far long work has come, for whoever watches."""

from collections.abc import Callable

Progress = Callable[[int, int], None]  # so many are done, of so many


def nobody_watches(_done: int, _of: int) -> None:
    """Progress that is shown to nobody."""
