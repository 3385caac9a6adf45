"""The guide, from the documents of the repository, and the reference, which pdoc makes from the docstrings.

pdoc, not Sphinx or MkDocs: the docstrings are Markdown without directives, one command writes pages that need no
network, and it takes what is public from the modules themselves, so that there is no second list.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import markdown2
from markupsafe import Markup
from pygments.formatters import HtmlFormatter

from reports.site.content import Site
from suite.results import ResultsError

ROOT = Path(__file__).parents[2]
TUTORIALS = "reports/docs/tutorials"  # programs; beside each the plot that it ends with
# slug -> (title, document); the first is the guide itself
DOCUMENTS = {
    "guide": ("Guide", "README.md"),
    "differences": ("Differences from torchsde", "impls/sdegrad/torch/DIFFERENCES.md"),
    "diffrax": ("Inside diffrax", "impls/sdegrad/jax/DIFFRAX.md"),
    "latent-sde": ("Tutorial: a latent SDE", f"{TUTORIALS}/latent_sde.py"),
    "sde-gan": ("Tutorial: an SDE-GAN", f"{TUTORIALS}/sde_gan.py"),
    "port-torchsde": ("Tutorial: from torchsde", f"{TUTORIALS}/port_torchsde.py"),
    "keep-diffrax": ("Tutorial: with diffrax", f"{TUTORIALS}/keep_diffrax.py"),
    "third-party": ("Third-party libraries", "impls/third_party/README.md"),
    "architecture": ("Architecture", "reports/docs/architecture.md"),
    "contributing": ("Contributing", "CONTRIBUTING.md"),
    "changelog": ("Changelog", "CHANGELOG.md"),
}
# What the README has from results -> the page of the site that shows these results.
_SHOWN = {
    "headline": ("library.html", "What it measured: by framework"),
    "claims": ("verification.html", "What it verified: every claim, and each failure"),
    "long-times": ("trust.html", "For which L T it is safe: the table and the figure"),
    "power": ("changes.html", "What the gate can tell"),
}
MODULES = (
    *("sdegrad.torch", "sdegrad.torch.nn", "sdegrad.jax", "sdegrad.jax.nn", "sdegrad.jax.diffrax"),
    *("sdegrad.contract", "sdegrad.methods"),
)
_EXTRAS = ["tables", "fenced-code-blocks", "header-ids", "cuddled-lists"]
_IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)]+)\)")


def write(site: Site) -> None:
    """Add a page for each document, with the pictures that it shows."""
    contents = [(f"{slug}.html", title) for slug, (title, _) in DOCUMENTS.items()]
    for slug, (title, document) in DOCUMENTS.items():
        text = (ROOT / document).read_text(encoding="utf-8")
        text = _program(text, document) if document.endswith(".py") else _without_results(text)
        text = _IMAGE.sub(lambda found: _image(site, *found.groups()), text)
        body = markdown2.markdown(text, extras=_EXTRAS, safe_mode="escape")
        site.page(slug, "guide.html", title=title, contents=contents, body=Markup(body), code=code_style())


def _program(text: str, document: str) -> str:
    """A program as a document: its docstring, whose first line is the heading, its plot and its code."""
    _, said, code = text.split('"""', 2)
    title, about = said.split("\n", 1)
    plot = document.replace(".py", ".png")
    return f"# {title}\n{about}\n![What it draws]({plot})\n\n```python\n{code.strip()}\n```\n"


def _without_results(text: str) -> str:
    """The document with a link in place of each block that was made from committed results."""
    for name, (page, words) in _SHOWN.items():
        text = re.sub(rf"<!-- {name}:start -->.*<!-- {name}:end -->", f"[{words}]({page})", text, flags=re.DOTALL)
    return text


def _image(site: Site, alt: str, address: str) -> str:
    name = Path(address).name
    site.files[f"figures/guide-{name}"] = (ROOT / address).read_bytes()
    return f"![{alt}](figures/guide-{name})"


def code_style(within: str = ".codehilite") -> Markup:
    """Colours of code, by day and by night."""
    day, night = (HtmlFormatter(style=style).get_style_defs(within) for style in ("default", "github-dark"))
    return Markup(f"{day}\n@media (prefers-color-scheme: dark) {{\n{night}\n}}\n")


def reference(out: Path) -> None:
    """The pages of the API, written into `out` by pdoc. ResultsError if it cannot make them."""
    with tempfile.TemporaryDirectory() as folder:
        for file in (Path(__file__).parent / "pdoc").iterdir():
            (Path(folder) / file.name).write_bytes(file.read_bytes())
        (Path(folder) / "syntax-highlighting.css").write_text(code_style(".pdoc-code"), encoding="utf-8")
        options = ("--no-show-source", "--template-directory", folder, "--output-directory", str(out))
        command = [sys.executable, "-m", "pdoc", *options, *MODULES]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ResultsError(f"pdoc cannot make the reference: {last}; nox makes the environment that it needs.")
