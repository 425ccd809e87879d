"""The options of `dltrain init`: what a first job shall be."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

File = Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")]
Name = Annotated[str, typer.Option(metavar="NAME", help="The job's name. Default: my-job.")]
Data = Annotated[
    str, typer.Option(metavar="SOURCE", help="The data: a named set or an address. Default: fashion-mnist.")
]
DataFormat = Annotated[
    Literal["idx", "npz", "image-folder", "csv", "parquet"] | None,
    typer.Option(
        "--format",
        metavar="NAME",
        help="Of an address: idx, npz, image-folder, csv or parquet. Default: by its end, .npz, .csv or .parquet.",
    ),
]
Target = Annotated[
    str, typer.Option(metavar="COLUMNS", help="Of csv and parquet: the columns to predict, with commas between them.")
]
Task = Annotated[
    Literal["classification", "regression", "multilabel"] | None,
    typer.Option(
        metavar="NAME",
        help="Of npz, csv and parquet: classification, regression or multilabel, which decides loss and metrics. "
        "Default: classification.",
    ),
]
Model = Annotated[
    str, typer.Option(metavar="NAME", help="The model; `dltrain models` lists them. Default: cnn; mlp for tables.")
]
Workers = Annotated[int | None, typer.Option(min=1, metavar="N", help="How many pods. Default: 1.")]
Gpus = Annotated[int | None, typer.Option(min=0, metavar="N", help="GPUs of each pod. Default: 0.")]
Epochs = Annotated[int | None, typer.Option(min=1, metavar="N", help="Passes over the data. Default: 2.")]
Claim = Annotated[str, typer.Option(metavar="NAME", help="The volume claim for checkpoints and the model.")]
Command = Annotated[str, typer.Option(metavar="WORDS", help="A program of your own instead of the pipeline.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing; take defaults.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite the file.")]
