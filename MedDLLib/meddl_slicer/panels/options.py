"""Choices of the panels, and their parameters under the names of version 0.1.0."""

from dataclasses import fields

DEVICES = ["auto", "cpu", "cuda", "mps"]


def choices(config_class: type) -> dict[str, list[str]]:
    """The allowed values of each field of a config that has a fixed set of them."""
    return {field.name: list(field.metadata["choices"]) for field in fields(config_class)
            if "choices" in field.metadata}


def rename_parameters(parameterNode, names: dict[str, str]) -> None:
    """Move parameters that a scene saved under old names to their present ones, {old: present}.

    Args:
        parameterNode: vtkMRMLScriptedModuleNode, before `parameterNodeWrapper` wraps it.
    """
    for old, present in names.items():
        if parameterNode.GetParameter(old):
            parameterNode.SetParameter(present, parameterNode.GetParameter(old))
            parameterNode.UnsetParameter(old)
