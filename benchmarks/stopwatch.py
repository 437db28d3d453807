"""How long one method of a running controller takes."""

import time


class Stopwatch:
    """Seconds that the last call of a method took."""

    def __init__(self, owner, name):
        self.last, self._call = 0.0, getattr(owner, name)
        setattr(owner, name, self)

    def __call__(self, *arguments):
        start = time.perf_counter()
        result = self._call(*arguments)
        self.last = time.perf_counter() - start
        return result
