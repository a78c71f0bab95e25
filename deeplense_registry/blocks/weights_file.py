"""Published weights from a local file, for backbones that are written here. Nothing is downloaded or executed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ..components import UserError


def read_weights(path: Path) -> Mapping[str, Tensor]:
    """The tensors of a file by name, at its top or under ``model``; nothing in it is executed.

    Args:
        path: ``.safetensors``, or torch's own format.

    Raises:
        UserError: There is no such file, or it holds something else.
    """
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's decoder raises whatever it stumbles on in a file that is none
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise UserError(f"{path}: cannot read weights: {reason}; give a file of tensors by name") from error
    if isinstance(state, Mapping) and isinstance(state.get("model"), Mapping):
        state = state["model"]
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{path}: holds no tensors by name; give the state dict alone")
    return state


def assign_weights(
    model: nn.Module, weights: Mapping[str, Tensor], name_of: Callable[[str], str], source: Path
) -> None:
    """Give ``model`` the values of ``weights``: all of them, and all that it has.

    Args:
        model: Whatever its weights are now is replaced.
        weights: By the names of their file, without those that the model has no use for.
        name_of: From a name in ``model.state_dict()`` to that in the file.
        source: The file, for messages.

    Raises:
        UserError: Names or shapes are not those of the model; the first few are named.
    """
    ours = {name_of(name): (name, value) for name, value in model.state_dict().items()}
    shapes = [
        f"{name} is {tuple(weights[name].shape)} where the model has {tuple(value.shape)}"
        for name, (_, value) in ours.items()
        if name in weights and weights[name].shape != value.shape
    ]
    faults = [
        f"{what} {_few(names)}"
        for what, names in (("missing", ours.keys() - weights.keys()), ("unexpected", weights.keys() - ours.keys()))
        if names
    ] + ([_few(shapes)] if shapes else [])
    if faults:
        raise UserError(
            f"{source}: not the weights of this model: {'; '.join(faults)}: give the file of this variant, "
            "with as many bands as the images have"
        )
    model.load_state_dict({name: weights[theirs] for theirs, (name, _) in ours.items()})


def _few(names: Iterable[str], count: int = 3) -> str:
    """The first few names, and how many more there are."""
    names = sorted(names)
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more
