"""Pages from templates: every value is text unless it is said to be markup."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_HERE = Path(__file__).parent
_ENVIRONMENT = Environment(
    loader=FileSystemLoader([_HERE, _HERE / "site" / "templates"]),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
)
PLAIN = "plain.html"  # a page by itself


def render(template: str, layout: str = PLAIN, **values: Any) -> str:
    """The page in this layout, which says what stands around its content."""
    return _ENVIRONMENT.get_template(template).render(layout=layout, **values)
