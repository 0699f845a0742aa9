"""The errors that tablefree raises: one family, so that one `except` catches them all."""


class TablefreeError(Exception):
    """Base of every error that tablefree raises on purpose.

    The message is one line that says what was wrong, what was got and what to do.
    """


class InputError(TablefreeError, ValueError):
    """A value, file, option or size that cannot be used as it was given."""


class CheckpointError(TablefreeError):
    """A checkpoint that does not fit the module it is loaded into."""


class CapacityWarning(UserWarning):
    """A sketch has no rows left for new ids: said once by each."""
