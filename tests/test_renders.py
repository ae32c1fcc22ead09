"""What becomes of chunks that an engine gives up."""

from __future__ import annotations

from contextlib import closing

from atlas.config import Config
from atlas.engines import Lost
from atlas.engines.local import LocalEngine
from atlas.plan import make_plan
from atlas.recipes import recipe_of
from atlas.renders import Renders
from atlas.store import Store
from tests.toy import ToyNetwork


class Losing(LocalEngine):
    """Gives up every second chunk."""

    def render(self, chunks, recipe):
        for number, chunk in enumerate(chunks):
            if number % 2:
                yield Lost(chunk, "3 workers died of its batch")
            else:
                yield from super().render([chunk], recipe)


def test_what_is_given_up_fails_and_is_tried_again(tmp_path):
    network = ToyNetwork()
    config = Config.model_validate(
        {
            "units": "edges:0-3",
            "render": {"size": 32, "steps": 1, "kinds": ["positive", "negative"], "chunk": 1},
        }
    )
    recipe = recipe_of(config.render)
    plan = make_plan(config, recipe, network, None, "cpu")
    with closing(Store(tmp_path / "store")) as store:
        losing = Renders(network, plan, store, "cpu", quiet=True, engine=Losing(network, "cpu"))
        made = losing.make()
        assert (made.rendered, made.reused) == (4, 0)
        assert [str(failure) for failure in made.failed] == [
            f"edges:{unit} {kind} 0: 3 workers died of its batch"
            for unit in (1, 3)
            for kind in ("positive", "negative")
        ]
        assert {str(render.unit) for render, key in plan.keys.items() if store.facts(key)} == {
            "edges:0", "edges:2",
        }  # fmt: skip
        again = Renders(network, plan, store, "cpu", quiet=True).make()
        assert (again.rendered, again.reused, again.failed) == (4, 4, ())
