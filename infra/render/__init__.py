"""A stack as plain manifests, for people whose clusters follow a repository: no cluster, no state, no secrets.

The platform's own program runs against an engine that only writes down what it is asked for, so what is rendered is
what `up` would create. `make render STACK=x` writes it to build/render/x.
"""

from infra.render.collect import Made, collect
from infra.render.errors import RenderError
from infra.render.pages import pages, secret_page
from infra.render.write import write

__all__ = ["Made", "RenderError", "collect", "pages", "secret_page", "write"]
