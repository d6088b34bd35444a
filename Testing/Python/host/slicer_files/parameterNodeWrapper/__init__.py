"""Stand-in for Slicer's `slicer.parameterNodeWrapper`: typed access to a parameter node, and its widgets.

Imitated are the types bool, int, float, str, MRML node classes and unions of them, and the widgets that MedDL's panels
use for these. All else of Slicer's package is refused.
"""

from .default import Default
from .guiConnectors import Decimals, GuiConnector, SingleStep, createGuiConnector
from .validators import Choice, Exclude, IsInstance, Maximum, Minimum, NotNone, Validator, WithinRange
from .wrapper import (
    SlicerParameterNamePropertyName,
    findChildWidgetForParameter,
    isParameterNodeWrapper,
    parameterNodeWrapper,
)

__all__ = [
    "Choice",
    "Decimals",
    "Default",
    "Exclude",
    "GuiConnector",
    "IsInstance",
    "Maximum",
    "Minimum",
    "NotNone",
    "SingleStep",
    "SlicerParameterNamePropertyName",
    "Validator",
    "WithinRange",
    "createGuiConnector",
    "findChildWidgetForParameter",
    "isParameterNodeWrapper",
    "parameterNodeWrapper",
]
