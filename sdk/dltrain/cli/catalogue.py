"""Commands that list what a job can choose from: models, transforms."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from dltrain.cli.options import Output

if TYPE_CHECKING:
    from dltrain.zoo import ModelCost

COLUMNS: Final = ("MODEL", "PARAMETERS", "MACS", "WEIGHTS", "TRAINING")
SHAPE: Final = re.compile(r"[1-9][0-9]{0,8}(x[1-9][0-9]{0,8}){0,2}")


def shape_of(text: str) -> tuple[int, ...]:
    """The shape that an option names, as in 3x224x224.

    Raises:
        typer.BadParameter: it names none.
    """
    if not SHAPE.fullmatch(text):
        raise typer.BadParameter(
            f"{text!r} is no shape; write CHANNELSxHEIGHTxWIDTH of images, STEPSxFEATURES of sequences or FEATURES",
            param_hint="--input",
        )
    return tuple(map(int, text.split("x")))


def models(
    shape: Annotated[
        str, typer.Option("--input", metavar="SHAPE", help="The shape of a sample: 3x224x224, 44x1 or 30.")
    ] = "1x28x28",
    outputs: Annotated[int, typer.Option(min=1, metavar="N", help="How many values a model returns.")] = 10,
    output: Output = None,
) -> None:
    """List the models and what each costs, with its default options.

    PARAMETERS are learnt, MACS are multiply-accumulates of one sample, WEIGHTS
    is their memory, TRAINING what one more sample of a batch takes.

    Example: dltrain models --input 3x224x224 --outputs 1000
    """
    from dltrain.cli.scripts import listed  # noqa: PLC0415 - the models take time to import
    from dltrain.zoo import model_costs  # noqa: PLC0415

    costs = model_costs(shape_of(shape), outputs)
    if output is None:
        typer.echo(models_table(costs))
    else:
        typer.echo(listed([cost.name for cost in costs], [cost.to_dict() for cost in costs], output))


def models_table(costs: Sequence[ModelCost]) -> str:
    """Models as a table; in the place of costs, why samples do not fit."""
    rows = [COLUMNS, *(model_row(cost) for cost in costs if not cost.problem)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    widths[0] = max(len(cost.name) for cost in costs)
    lines = ["   ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
    return "\n".join([*lines, *(f"{cost.name.ljust(widths[0])}   {cost.problem}" for cost in costs if cost.problem)])


def model_row(cost: ModelCost) -> tuple[str, ...]:
    """A model's line in the table."""
    sizes = (binary(cost.parameter_bytes), binary(cost.activation_bytes))
    return (cost.name, decimal(cost.parameters), decimal(cost.macs), *sizes)


def decimal(count: int) -> str:
    """A number with three digits and a unit, as in 11.2 M."""
    return scaled(count, 1000, ("", " k", " M", " G", " T", " P"))


def binary(count: int) -> str:
    """A number of bytes with three digits and a unit, as in 42.7 MiB."""
    return scaled(count, 1024, (" B", " KiB", " MiB", " GiB", " TiB", " PiB"))


def scaled(count: int, base: int, units: Sequence[str]) -> str:
    """A number in the unit that leaves it below the next one; whole in the first."""
    if count < base:
        return f"{count}{units[0]}"
    power = next((power for power in range(1, len(units)) if count < base ** (power + 1)), len(units) - 1)
    value = count / base**power
    return f"{value:.{max(0, 2 - int(math.log10(value)))}f}{units[power]}"


def transforms(output: Output = None) -> None:
    """List the transforms and augmentations of data.

    Example: dltrain transforms --output json
    """
    from dltrain.api.crd import model_schema  # noqa: PLC0415 - the models take time to import
    from dltrain.api.data import Data  # noqa: PLC0415
    from dltrain.cli.scripts import listed  # noqa: PLC0415

    data = model_schema(Data)["properties"]
    kinds = {kind: data[kind]["items"]["properties"] for kind in ("transforms", "augment")}
    if output is None:
        typer.echo("\n".join(steps_lines(kinds)))
    else:
        typer.echo(listed([name for steps in kinds.values() for name in steps], kinds, output))


def steps_lines(kinds: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Steps and their fields, indented as in a job."""
    for kind, steps in kinds.items():
        yield f"{kind}:"
        for name, step in steps.items():
            yield f"  {name}: {first_line(step)}"
            yield from (f"    {field}: {field_line(part)}" for field, part in step["properties"].items())


def first_line(schema: dict[str, Any]) -> str:
    """What a schema says of itself, on one line."""
    return " ".join(schema["description"].split())


def field_line(schema: dict[str, Any]) -> str:
    """A field's type, default and meaning, on one line."""
    from dltrain.api.reference import default_of, type_of  # noqa: PLC0415 - it imports the models

    default = default_of(schema).strip("`")
    kind = "|".join(schema["enum"]) if "enum" in schema and schema["type"] == "string" else type_of(schema)
    return f"{kind}{f', default {default}' if default else ''}. {first_line(schema)}"
