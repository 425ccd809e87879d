"""What MPI's ranks make of the same training split together, and of the same folder of images."""

import sys

from mpi4py import MPI

from dltrain_trainer.data.load import load_data
from dltrain_trainer.data.team import MpiTeam
from tests.trainer.mpi import tell
from tests.trainer.pipeline.builders import (
    IMAGE_STEPS,
    TABLE_STEPS,
    fitted,
    image_set,
    rows_with_gaps,
    settings,
    table_set,
)


def main(folder: str, pictures: str) -> None:
    """Fit, load and tell."""
    team = MpiTeam(MPI.COMM_WORLD)
    said: list[str] = []
    rows, _ = fitted(table_set(rows_with_gaps()), *TABLE_STEPS, team=team)
    pixels, _ = fitted(image_set(), *IMAGE_STEPS, team=team)
    loaded = load_data(settings(source=f"file://{pictures}", format="image-folder"), said.append).dataset
    found = {"rows": rows.to_dict(), "pixels": pixels.to_dict(), "said": said, "sum": int(loaded.train.inputs.sum())}
    tell(folder, team.rank, found)


if __name__ == "__main__":
    main(*sys.argv[1:])
