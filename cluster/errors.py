"""The errors we raise on purpose, and the exit code each one ends a command with.

    MixlingualError        1  the work failed
      WorkError            1  a stage could not finish (a worker died too often, a loss became NaN)
      UsageError           2  what the caller gave cannot be used
        ConfigError        2  a field of a configuration
        DataError          2  a file or record of a data set

Each message is one line that names the field or file, says what was found and what would do.
"""

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_REGRESSION = 3


class MixlingualError(Exception):
    """Root of the errors raised on purpose; anything else is a bug."""

    exit_code = EXIT_FAILED


class WorkError(MixlingualError):
    """A stage was set up correctly and could not finish."""


class UsageError(MixlingualError):
    """What the caller gave cannot be used."""

    exit_code = EXIT_USAGE


class ConfigError(UsageError):
    """A field of a configuration cannot be used."""


class DataError(UsageError):
    """A file or a record cannot be used."""
