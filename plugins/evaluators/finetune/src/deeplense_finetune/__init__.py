"""Fine-tuning: the whole encoder learns a target from few labels, beside the same network from scratch."""

from __future__ import annotations

from collections.abc import Iterator

from deeplense_registry import Component, hookimpl


@hookimpl
def deeplense_components() -> Iterator[Component]:
    """The two trainings."""
    yield Component(
        kind="evaluator",
        name="finetune",
        api=1,
        factory="deeplense_finetune.evaluator:Finetune",
        options="deeplense_finetune.options:FinetuneOptions",
        summary="The trained encoder with a head on top, trained on few labels; early layers move less.",
        reference="arXiv:2106.08254",
    )
    yield Component(
        kind="evaluator",
        name="supervised",
        api=1,
        factory="deeplense_finetune.evaluator:Supervised",
        options="deeplense_finetune.options:SupervisedOptions",
        summary="The same network trained on the same labels from scratch: the baseline.",
    )
