"""A model that stands for another one while it is trained: the same outputs, the same conditions."""

from typing import Any

from .model import Model, Params


class Wrapped(Model):
    """The equations and conditions of `inner`; where its parameters or inputs come from differs."""

    def __init__(self, inner: Model, nu: int, config: dict[str, Any]):
        super().__init__(nu, inner.ny, inner.nx, config)
        self.inner, self.recurrent = inner, tuple(f"inner.{name}" for name in inner.recurrent)

    def spec(self):
        return {**super().spec(), "model": self.inner.spec()}

    def plain(self) -> Model:
        return self.inner.plain()

    def by_construction(self, property: str) -> str | None:
        return self.inner.by_construction(property)

    def f(self, p: Params, x, u) -> Any:
        return self.inner.f(p, x, u)

    def g(self, p: Params, x) -> Any:
        return self.inner.g(p, x)

    def output_map(self, p):
        return self.inner.output_map(p)

    def output_box(self, p, u_max):
        return self.inner.output_box(p, u_max)

    def state_box(self, p, u_max):
        return self.inner.state_box(p, u_max)

    def iss(self, p, u_max):
        return self.inner.iss(p, u_max)

    def delta_iss(self, p, u_max):
        return self.inner.delta_iss(p, u_max)

    def comparison(self, p, u_max):
        return self.inner.comparison(p, u_max)
