"""What went wrong, said to the person who can mend it."""

from __future__ import annotations


class UserError(Exception):
    """A mistake in the input: a spec, shard, archive, checkpoint or plugin.

    The message says where, what, and what to do. The command line prints it without a traceback and exits with 2; from
    Python it is an exception like any other.
    """


class PluginError(UserError):
    """A plugin is missing, broken, of another interface version, or shares its name with another."""
