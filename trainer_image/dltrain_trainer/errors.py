"""What goes wrong because of the job or its data, in words for its author."""


class TrainerError(Exception):
    """The job or its data cannot be trained with; the message says what to do."""


class DataError(TrainerError):
    """The data is missing, damaged, or not what the job says."""


class ToldToEndError(Exception):
    """A rank was told to end, and the state of training is kept: no failure of anybody's."""


class CheckpointError(TrainerError):
    """A checkpoint or artefact cannot be written or read."""
