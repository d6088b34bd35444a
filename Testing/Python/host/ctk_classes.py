"""Declaration of the stand-ins for CTK's classes."""

from .pythonqt import declare_host_class
from .ui_files import custom_widget


def ctk_widget(cls):
    """Declare a class as one of CTK's: offered to .ui files and to the ctk module."""
    return custom_widget(declare_host_class(cls))
