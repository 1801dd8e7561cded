"""What mkdocs calls: pages that are written at build time, and links that leave docs/.

| page                  | from                                                |
|-----------------------|-----------------------------------------------------|
| reference/cli.md      | the commands and flags of `hwnas.cli.app`           |
| reference/api/ROOM.md | the docstrings of what a room's `__init__` exports  |
| results/NAME.md       | benchmarks/NAME.md                                  |
| results/ERRORS.md     | latency_tables/ERRORS.md                            |
| results/index.md      | the titles of benchmarks/*.md                       |
| adr/index.md          | the titles of adr/*.md                              |
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import api_reference
import cli_reference

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).parents[2]
_LINK = re.compile(r"\]\(((?:\.\./)*)([\w./-]*)((?:#[^)]*)?)\)")


def written() -> dict[str, str]:
    """Path under docs/ -> text, of every page that is not a file there."""
    measured = [*sorted((ROOT / "benchmarks").glob("*.md")), ROOT / "latency_tables" / "ERRORS.md"]
    records = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
    return {
        "reference/cli.md": cli_reference.page(),
        **{f"reference/api/{name}.md": text for name, text in api_reference.pages().items()},
        **{f"results/{path.name}": path.read_text("utf-8") for path in measured},
        "results/index.md": _index("Measurements", "Each with the command and the machine that made it.", measured),
        "adr/index.md": _index("Decisions", "Context, decision, consequences.", records),
    }


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Write out the entries of the navigation that end in /*."""
    docs = Path(config.docs_dir)
    names = {*written(), *(path.relative_to(docs).as_posix() for path in docs.rglob("*.md"))}
    config.nav = _expanded(config.nav, sorted(names, key=lambda name: (not name.endswith("index.md"), name)))
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the written pages."""
    from mkdocs.structure.files import File

    for name, text in written().items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, files: Files, **_: object) -> str:
    """Turn links to pages of benchmarks/, latency_tables/ and docs/, and to adr/, into links inside the site."""
    here = page.file.src_uri
    depth = "../" * here.count("/")

    def inside(found: re.Match[str]) -> str:
        up, path, anchor = found.groups()
        for folder, place in (("benchmarks/", "results/"), ("latency_tables/", "results/"), ("docs/", "")):
            target = f"{place}{path.removeprefix(folder)}"
            if up and path.startswith(folder) and files.get_file_from_path(target):
                return f"]({depth}{target}{anchor})"
        return f"]({up}{path}index.md)" if path.endswith("adr/") else found[0]

    return _LINK.sub(inside, markdown)


def _expanded(nav: Any, names: list[str]) -> Any:
    if isinstance(nav, list):
        return [_expanded(item, names) for item in nav]
    if isinstance(nav, Mapping):
        return {title: _expanded(item, names) for title, item in nav.items()}
    if isinstance(nav, str) and nav.endswith("/*"):
        return [name for name in names if name.rpartition("/")[0] == nav[:-2]]
    return nav


def _index(title: str, about: str, paths: list[Path]) -> str:
    titles = [(path.name, path.read_text("utf-8").partition("\n")[0].lstrip("# ")) for path in paths]
    return "\n".join([f"# {title}", "", about, "", *(f"- [{text}]({name})" for name, text in titles), ""])
