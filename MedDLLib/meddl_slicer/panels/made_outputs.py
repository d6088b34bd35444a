"""Which results a run has made the chosen outputs of a panel, and from what, kept in the parameter node."""

import json

ATTRIBUTE = "MedDL.MadeFrom"  # of the parameter node: the origin as JSON, nodes by their place among the references
INPUT_ROLE = "MedDL.MadeFrom"
OUTPUT_ROLE = "MedDL.Made."  # and the name of the output


class MadeOutputs:
    """The record of a parameter node. It outlives the panel, in a reload of the module and in a saved scene.

    Args:
        parameterNode: the MRML node.
    """

    def __init__(self, parameterNode):
        self._node = parameterNode

    def keep(self, outputs: dict, origin: tuple) -> None:
        """Remember result nodes (or None) by the name of their output, and the nodes and plain values behind them."""
        wasModified = self._node.StartModify()
        self.forget()
        for name, output in outputs.items():
            if output is not None:
                self._node.SetNodeReferenceID(OUTPUT_ROLE + name, output.GetID())
        parts = []
        for part in origin:
            if hasattr(part, "GetID"):
                parts.append({"node": self._node.GetNumberOfNodeReferences(INPUT_ROLE)})
                self._node.AddNodeReferenceID(INPUT_ROLE, part.GetID())
            else:
                parts.append(part)
        self._node.SetAttribute(ATTRIBUTE, json.dumps(parts))
        self._node.EndModify(wasModified)

    def forget(self) -> None:
        """Remember nothing."""
        roles = [self._node.GetNthNodeReferenceRole(n) for n in range(self._node.GetNumberOfNodeReferenceRoles())]
        for role in roles:
            if role == INPUT_ROLE or role.startswith(OUTPUT_ROLE):
                self._node.RemoveNodeReferenceIDs(role)
        self._node.RemoveAttribute(ATTRIBUTE)

    def ofOthers(self, origin: tuple) -> dict:
        """The remembered results by the name of their output, where they come from something else than `origin`."""
        text = self._node.GetAttribute(ATTRIBUTE)
        if text is None or self._origin(text) == list(origin):
            return {}
        roles = [self._node.GetNthNodeReferenceRole(n) for n in range(self._node.GetNumberOfNodeReferenceRoles())]
        return {role.removeprefix(OUTPUT_ROLE): self._node.GetNodeReference(role)
                for role in roles if role.startswith(OUTPUT_ROLE)}

    def _origin(self, text: str) -> list:
        """What was remembered; a node that has left the scene equals nothing."""
        return [part if not isinstance(part, dict) else
                self._node.GetNthNodeReference(INPUT_ROLE, part["node"]) or object() for part in json.loads(text)]
