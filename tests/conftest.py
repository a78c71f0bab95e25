"""Fixtures for every room."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from plugin_factory import make_plugin

SKY = """
    @frozen
    class Options:
        images: int = option("Training images; 0: nobody knows before they are read.", 100, validators.ge(0))
        bands: int = option("Bands.", 1, validators.ge(1))
        size: int = option("Side in pixels.", 32, validators.ge(1))

        def facts(self):
            shape = ImageShape(self.bands, self.size, self.size)
            images = {"train": self.images} if self.images else {}
            return DatasetFacts(shape=shape, images=images, targets={"class": Target(classes=("none", "sphere"))})
"""

PAIR = """
    @frozen
    class Options:
        temperature: float = option("Of the softmax, above 0.", 0.1, validators.gt(0.0))
        queue: int | None = option("Length of the queue.", None, validators.optional(validators.ge(1)))
        mode: Literal["fast", "exact"] = option("How.", "fast")
        scale: tuple[float, float] = option("Range of zoom.", (0.5, 1.0), ordered(0.0, 1.0))
        symmetric: bool = option("Both ways.", True)

        def check(self, facts):
            if self.queue is not None and self.queue % facts.batch_size:
                yield f"queue {self.queue} is no multiple of batch_size {facts.batch_size}"
"""

NET = """
    @frozen
    class Head:
        width: int = option("Units.", 64, validators.ge(1))
        act: Literal["relu", "gelu"] = option("Activation.", "relu")

    @frozen
    class Options:
        width: int = option("D.", 8, validators.ge(1))
        head: Head = option("The head.", Head())
        normalise: bool = option("Over the batch.", True)

        def facts(self, shape):
            return BackboneFacts(width=self.width, min_size=16, grid=(1, 1), batch_norm=self.normalise)
"""

SCORE = """
    @frozen
    class Options:
        targets: tuple[str, ...] = option("What to predict.", ("class",), validators.min_len(1))
        k: int = option("Neighbours.", 5, validators.ge(1))
"""


@pytest.fixture
def plugin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on ``sys.path`` for :func:`tests.plugin_factory.make_plugin`; its modules are forgotten afterwards."""
    folder = tmp_path / "site"
    folder.mkdir()
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(folder)):
            del sys.modules[name]


@pytest.fixture
def toy_plugins(plugin_folder: Path) -> Path:
    """The made-up dataset "sky", method "pair", backbone "net" and evaluator "score"; the folder they lie in."""
    make_plugin(plugin_folder, "sky", "dataset", options=SKY)
    make_plugin(plugin_folder, "pair", "method", options=PAIR)
    make_plugin(plugin_folder, "net", "backbone", options=NET)
    make_plugin(plugin_folder, "score", "evaluator", options=SCORE)
    return plugin_folder
