"""attrs validators as bounds of a JSON schema. A validator that has no counterpart there bounds nothing."""

from __future__ import annotations

from typing import Any

from attrs import validators

Schema = dict[str, Any]

_COMPARISONS = {">=": "minimum", ">": "exclusiveMinimum", "<=": "maximum", "<": "exclusiveMaximum"}
_LENGTHS = {"string": "Length", "array": "Items", "object": "Properties"}

# attrs keeps the classes of its validators to itself, so they are taken from examples
_Number: Any = type(validators.ge(0))
_In: Any = type(validators.in_(()))
_MinLength: Any = type(validators.min_len(0))
_MaxLength: Any = type(validators.max_len(0))
_Matches: Any = type(validators.matches_re(""))
_Optional: Any = type(validators.optional(validators.ge(0)))
_Each: Any = type(validators.deep_iterable(validators.ge(0)))
_EachValue: Any = type(validators.deep_mapping(value_validator=validators.ge(0)))
_And: Any = type(validators.and_())


def bounds(validator: Any, schema: Schema) -> Schema:
    """``schema`` with the bounds of ``validator`` (or ``None``) added."""
    if isinstance(validator, _And):
        for one in validator._validators:
            schema = bounds(one, schema)
        return schema
    if isinstance(validator, _Optional):
        return bounds(validator.validator, schema)
    if isinstance(validator, _Each):
        return _each(validator, schema)
    if isinstance(validator, _EachValue):
        values = bounds(validator.value_validator, schema.get("additionalProperties", {}))
        return bounds(validator.mapping_validator, {**schema, "additionalProperties": values})
    return {**schema, **_bound(validator, schema)}


def _bound(validator: Any, schema: Schema) -> Schema:
    length = _LENGTHS.get(schema.get("type", ""), "")
    if isinstance(validator, _Number):
        return {_COMPARISONS[validator.compare_op]: validator.bound}
    if isinstance(validator, _In):
        return {"enum": list(validator.options)}
    if isinstance(validator, _MinLength):
        return {f"min{length}": validator.min_length} if length else {}
    if isinstance(validator, _MaxLength):
        return {f"max{length}": validator.max_length} if length else {}
    if isinstance(validator, _Matches):
        return {"pattern": f"^(?:{validator.pattern.pattern})$"}
    return {}


def _each(validator: Any, schema: Schema) -> Schema:
    items = schema.get("items", {})
    several = [bounds(validator.member_validator, item) for item in items] if isinstance(items, list) else None
    bounded = {**schema, "items": several or bounds(validator.member_validator, items)}
    return bounds(validator.iterable_validator, bounded)
