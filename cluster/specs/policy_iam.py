"""What an IAM policy must not be: rights to everything."""

from collections.abc import Iterator
from typing import Any

from cluster.specs.problems import Document, Problem

_HARMLESS_ON_ALL = ("ec2:Describe", "ecr:GetAuthorizationToken")
"""Actions that AWS knows no narrower resource for."""


def iam_problems(document: Document) -> Iterator[Problem]:
    """Every statement that allows more than named actions on named resources."""
    for number, statement in enumerate(_several(document.content.get("Statement"))):
        if not isinstance(statement, dict) or statement.get("Effect") != "Allow":
            continue
        where = f"Statement[{statement.get('Sid', number)}]"
        actions = [str(action) for action in _several(statement.get("Action"))]
        wide = next((action for action in actions if "*" in action), None)
        if wide is not None or "NotAction" in statement:
            yield document.problem(f"{where}.Action", f"allows {wide or 'all but a few'}; name the actions")
        resources = _several(statement.get("Resource"))
        if "*" in resources and not all(action.startswith(_HARMLESS_ON_ALL) for action in actions):
            yield document.problem(f"{where}.Resource", f"allows {', '.join(actions)} on all there is; name what")
        principals = statement.get("Principal")
        if principals == "*" or (isinstance(principals, dict) and "*" in _several(principals.get("AWS"))):
            yield document.problem(f"{where}.Principal", "lets any account in; name who may take the role on")


def _several(value: Any) -> list[Any]:
    """IAM takes one value for a list of one."""
    return value if isinstance(value, list) else [] if value is None else [value]
