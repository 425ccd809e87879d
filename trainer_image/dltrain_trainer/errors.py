"""What goes wrong because of the job or its data, in words for its author."""


class TrainerError(Exception):
    """The job or its data cannot be trained with; the message says what to do."""


class DataError(TrainerError):
    """The data is missing, damaged, or not what the job says."""


class DataAwayError(DataError):
    """The data, or room for it, is not there now; it may be later."""


class FinalError(TrainerError):
    """The job cannot be done as it is written: another attempt would end in the same way."""


class DivergedError(TrainerError):
    """The loss is no finite number any more."""


class ToldToEndError(Exception):
    """A rank was told to end, and the state of training is kept: no failure of anybody's."""


class CheckpointError(TrainerError):
    """A checkpoint or artefact cannot be written or read."""


class OtherTrainingError(CheckpointError, FinalError):
    """A checkpoint is of another training: as long as it is there, every attempt ends like this."""
