"""The API reference: signatures and docstrings of the public names, read from the source without importing it.

A line `::: meddl.name` of reference.md becomes the entry of that name.
"""

import ast
import dataclasses
import re
import sys
from pathlib import Path

LIBRARY = Path(__file__).resolve().parent.parent / "MedDLLib"
_MARK = re.compile(r"^::: ([\w.]+)$", re.MULTILINE)
_SECTIONS = ("Args", "Returns", "Raises", "Attributes")
_WIDTH = 100


def page(markdown: str) -> str:
    """The page with its marks replaced by the entries of their names.

    Raises:
        LookupError: there is no such name.
    """
    return _MARK.sub(lambda match: entry(match[1]), markdown)


def entry(name: str) -> str:
    """Heading, signature and docstring of a public name and of its public methods, as Markdown."""
    node = definition(name)
    parts = [_headed(name, node, "###")]
    if isinstance(node, ast.ClassDef):
        if _is_config(node):
            parts.append(_options(name))
        parts += [_headed(f"{name}.{inner.name}", inner, "####") for inner in node.body
                  if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_")]
    return "\n\n".join(parts)


def definition(name: str) -> ast.ClassDef | ast.FunctionDef:
    """The class or function that a dotted public name stands for; what packages import is followed."""
    module, _, last = name.rpartition(".")
    place = LIBRARY.joinpath(*module.split("."))
    for path in (place.with_suffix(".py"), place / "__init__.py"):
        tree = ast.parse(path.read_text(encoding="utf-8")) if path.is_file() else ast.Module(body=[])
        for node in tree.body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == last:
                return node
            if isinstance(node, ast.ImportFrom) and last in {alias.name for alias in node.names}:
                return definition(f"{node.module}.{last}")
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "_HOMES":
                return definition(f"{ast.literal_eval(node.value)[last]}.{last}")
    raise LookupError(f"There is no public name {name}.")


def _headed(name: str, node: ast.ClassDef | ast.FunctionDef, level: str) -> str:
    kind = "class" if isinstance(node, ast.ClassDef) else "def"
    return (f"{level} {name} {{#{name}}}\n\n```python\n{kind} {signature(node)}\n```\n\n"
            f"{text(ast.get_docstring(node) or '')}")


def signature(node: ast.ClassDef | ast.FunctionDef) -> str:
    """Name, arguments or fields, and result; one in each line where they are long."""
    result = ""
    if isinstance(node, ast.ClassDef):
        words = [] if _is_config(node) else [ast.unparse(one) for one in node.body if isinstance(one, ast.AnnAssign)]
    else:
        words = [word for word in _arguments(node.args) if word != "self"]
        result = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    line = f"{node.name}({', '.join(words)}){result}"
    return line if len(line) <= _WIDTH else f"{node.name}(\n    " + ",\n    ".join(words) + f",\n){result}"


def text(docstring: str) -> str:
    """A docstring in Google's style as Markdown: its sections become lists."""
    lines, section = [], None
    for line in docstring.splitlines():
        if line.endswith(":") and line[:-1] in _SECTIONS:
            section = line[:-1]
            lines += ["", f"**{section}**", ""]
        elif section and section != "Returns" and re.match(r"    \S", line):
            names, colon, rest = line.strip().partition(": ")
            lines.append(f"- `{names}`{colon}{rest}")
        else:
            lines.append(line.strip() if section == "Returns" else line)
    return "\n".join(lines)


def _arguments(given: ast.arguments) -> list[str]:
    plain = [*given.posonlyargs, *given.args]
    words = [_argument(*pair) for pair in zip(plain, [None] * (len(plain) - len(given.defaults)) + given.defaults)]
    if given.vararg or given.kwonlyargs:
        words.append("*" + (_argument(given.vararg, None) if given.vararg else ""))
    words += [_argument(*pair) for pair in zip(given.kwonlyargs, given.kw_defaults)]
    return words + ([f"**{_argument(given.kwarg, None)}"] if given.kwarg else [])


def _argument(argument: ast.arg, default: ast.expr | None) -> str:
    return ast.unparse(argument) + (f" = {ast.unparse(default)}" if default is not None else "")


def _is_config(node: ast.ClassDef) -> bool:
    return any(" option(" in ast.unparse(one) for one in node.body if isinstance(one, ast.AnnAssign))


def _options(name: str) -> str:
    """The fields of a configuration, each with its default and its help."""
    if str(LIBRARY) not in sys.path:
        sys.path.insert(0, str(LIBRARY))
    import meddl

    rows = [f"- `{field.name}: {getattr(field.type, '__name__', field.type)} = {field.default!r}`: "
            f"{field.metadata.get('help', '')}"
            for field in dataclasses.fields(getattr(meddl, name.rpartition(".")[2]))]
    return "**Fields**\n\n" + "\n".join(rows)
