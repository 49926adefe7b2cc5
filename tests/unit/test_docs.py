"""The documentation says what the code says: commands, options, clients, errors, keys, targets, links."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from typer.testing import CliRunner

from gdkreg.cli.app import build
from gdkreg.clients.table import CLIENTS, Client
from gdkreg.config.schema import Registry
from gdkreg.explain.rules import RULES
from gdkreg.report import out
from tests import pages

REPO = Path(__file__).resolve().parents[2]
PAGES = [REPO / "README.md", REPO / "CONTRIBUTING.md", REPO / "CHANGELOG.md", *sorted((REPO / "docs").glob("*.md"))]
TEXTS = {page.relative_to(REPO).as_posix(): page.read_text() for page in PAGES}
COMMANDS = dict(pages.commands())
_SPANS = re.compile(r"```(?:shell|console)\n(.*?)```|`([^`\n]+)`", re.DOTALL)


def code(text: str) -> list[str]:
    """The lines of shell and the words between back-quotes."""
    return [line.partition("#")[0] for block, span in _SPANS.findall(text) for line in (block or span).splitlines()]


def anchor(heading: str) -> str:
    """As GitLab makes one."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_the_readme_is_one_page() -> None:
    assert len(TEXTS["README.md"].splitlines()) <= 180


@pytest.mark.parametrize("name", TEXTS)
def test_every_link_leads_somewhere(name: str) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", TEXTS[name]):
        path, _, part = link.partition("#")
        target = (REPO / name).parent / path if path else REPO / name
        assert target.exists(), link
        headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE) if part else []
        assert not part or part in map(anchor, headings), link


@pytest.mark.parametrize("name", TEXTS)
def test_every_target_is_in_the_makefile(name: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (REPO / "Makefile").read_text(), re.MULTILINE))
    named = {found for line in code(TEXTS[name]) for found in re.findall(r"(?:^|, |&& )make ([a-z-]+)", line)}
    assert named <= targets


@pytest.mark.parametrize("name", [name for name in TEXTS if name != "docs/tour.md"])  # whose commands are run
def test_every_command_and_option_exists(name: str) -> None:
    called = re.findall(r"(?:^|[;|(] ?|&& )gdkreg ([a-z][^;|&`)\n]*)", "\n".join(code(TEXTS[name])), re.MULTILINE)
    for words in map(str.split, called):
        command = COMMANDS.get(f"gdkreg {' '.join(words[:2])}") or COMMANDS.get(f"gdkreg {words[0]}")
        assert command is not None, words
        assert {word.rstrip('",') for word in options_of(words)} <= names(command), words


def options_of(words: list[str]) -> list[str]:
    ours = words[: words.index("--")] if "--" in words else words
    return [word for word in ours if word.startswith("--")]


def names(command: Any) -> set[str]:
    return {"--help"} | {word for option in command.params for word in [*option.opts, *option.secondary_opts]}


def test_every_command_with_its_options_has_its_section() -> None:
    sections = dict(re.findall(r"^### (gdkreg [^\n]+)\n(.*?)(?=^##|\Z)", TEXTS["docs/commands.md"], re.MULTILINE | re.DOTALL))
    assert set(sections) == set(COMMANDS), "make pages"
    for name, command in COMMANDS.items():
        shown = [word for option in pages.options(command) for word in option.opts if word.startswith("--")]
        assert not [word for word in shown if f"`{word}`" not in sections[name]], "make pages"
    assert pages.page() == TEXTS["docs/commands.md"], "make pages writes it anew"


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_every_client_has_its_rows(client: Client) -> None:
    rows = [line for line in TEXTS["docs/clients.md"].splitlines() if line.startswith(f"| `{client.name}`")]
    trust, login = rows[0], rows[1]
    assert client.variable in trust
    assert client.trust != "variable" or f"gdkreg env {client.name}" in trust
    assert client.login.format(authority="HOST:PORT", user="USER") in login
    assert client.ask.format(authority="HOST:PORT", reference="HOST:PORT/NAME") in login


def test_every_error_of_explain_is_listed() -> None:
    listed = re.findall(r"^\| ([^|]+) \| ([^|]+) \| [^|]+ \|$", TEXTS["docs/troubleshooting.md"], re.MULTILINE)[2:]
    assert listed == [(rule.name, rule.cause) for rule in RULES]


@pytest.mark.parametrize("name", TEXTS)
def test_every_key_of_gdk_yml_exists(name: str) -> None:
    keys = {field.name for field in msgspec.structs.fields(Registry)}
    assert set(re.findall(r"\bregistry\.([a-z]+_[a-z_]+)\b", " ".join(code(TEXTS[name])))) <= keys


def test_the_picture_is_small_and_fetches_nothing() -> None:
    picture = (REPO / "docs/up.svg").read_text()
    assert len(picture) < 60_000
    assert not re.findall(r"@import|@font-face|href=|url\([^#]", picture)


def test_the_starter_file_is_the_same_where_gdkreg_is_on_no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(out, "_program", lambda: "/clone/.venv/bin/gdkreg")
    printed = CliRunner().invoke(build(), ["config", "example"]).output
    assert printed == (REPO / "gdk.example.yml").read_text()


def test_ci_runs_what_is_here() -> None:
    job = yaml.safe_load((REPO / ".gitlab-ci.yml").read_text())["test"]
    assert job["script"] == [".ci/run"]
    assert os.access(REPO / ".ci/run", os.X_OK)
    assert (REPO / job["cache"]["key"]["files"][0]).exists()
