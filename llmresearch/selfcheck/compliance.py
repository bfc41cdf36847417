"""Are engines that cheat caught: caching, truncating, padding behind the end of text, computing in another precision?"""

from ..compliance import run

__all__ = ["run"]
