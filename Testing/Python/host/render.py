"""Pictures through the real MRML displayable managers."""


def request_three_d_reset():
    """Note that the 3D view is to be centered."""
