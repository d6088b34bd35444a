"""Whether this process may run programs that models bring along. Only a worker process may: it can be ended at will."""

_allowed = False


def allow_programs() -> None:
    """Say that this is a worker process; it cannot be taken back."""
    global _allowed
    _allowed = True


def programs_allowed() -> bool:
    """Whether `allow_programs` was called in this process."""
    return _allowed
