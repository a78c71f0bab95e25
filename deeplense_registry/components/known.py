"""Components this project publishes, so that a missing one can be named with the command that installs it."""

from __future__ import annotations

KNOWN: dict[tuple[str, str], str] = {
    **{("method", name): f"deeplense-{name}" for name in ("simclr", "simsiam", "swav", "moby", "dino", "sit", "vtcc")},
    **{("backbone", name): f"deeplense-{name}" for name in ("cvt", "levit", "equivariant", "timm")},
    **{("dataset", name): f"deeplense-{name}" for name in ("lenses", "archives", "surveys")},
    **{("evaluator", name): "deeplense-probes" for name in ("linear", "ridge", "knn")},
    **{("evaluator", name): "deeplense-finetune" for name in ("finetune", "supervised")},
    ("evaluator", "clustering"): "deeplense-clustering",
    **{
        ("evaluator", name): "deeplense-discovery"
        for name in ("similarity", "anomaly", "trust", "invariance", "map", "attention")
    },
}
"""(kind, name) to the distribution that provides it."""
