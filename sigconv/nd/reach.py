"""How far a local operation reaches along one axis: all that streams and tiles must know of it."""

from __future__ import annotations

from typing import NamedTuple

from sigconv.nd.sizes import count


class Reach(NamedTuple):
    """A local operation along an axis: group j of its outputs depends on inputs j·stride - before … j·stride + after.

    Outputs come in groups of `each` per `stride` inputs (each is 1 but for upsampling), whatever the axis' length; its
    ends have whatever border the operation gives them. Either side may be negative: it looks only behind, or ahead.

    >>> Reach(160, 200, 199).size
    400
    """

    stride: int
    before: int
    after: int
    each: int = 1

    @property
    def size(self) -> int:
        """Inputs that a group sees."""
        return self.before + self.after + 1

    def ready(self, n: int) -> int:
        """How many groups, the first ones, see nothing beyond the first n inputs.

        >>> Reach(2, 1, 1).ready(6), Reach(2, 1, 1).ready(1)
        (3, 0)
        """
        return max((n - 1 - self.after) // self.stride + 1, 0) if n > 0 else 0

    def last(self, output: int) -> int:
        """The last input that this output depends on, borders aside."""
        return output // self.each * self.stride + self.after

    def then(self, other: Reach) -> Reach:
        """Both, one after the other; ValueError where groups of several outputs come, which need not fall together.

        >>> Reach(2, 1, 1).then(Reach(3, 4, 0))
        Reach(stride=6, before=9, after=1, each=1)
        """
        if self.each != 1 or other.each != 1:
            raise ValueError(f"{self} then {other}: only operations with each=1 can be taken together")
        before = self.before + other.before * self.stride
        return Reach(self.stride * other.stride, before, self.after + other.after * self.stride)


def checked(reach: Reach, name: str) -> Reach:
    """The reach, if it is one: what a module says of itself is not believed unseen."""
    if not isinstance(reach, Reach):
        raise TypeError(f"{name}.reach is {reach!r}: expected nd.Reach(stride, before, after)")
    count(reach.stride, f"{name}.reach.stride")
    count(reach.each, f"{name}.reach.each")
    if reach.size < 1:
        raise ValueError(f"{name}.reach sees from -{reach.before} to {reach.after}: expected one sample at least")
    return reach
