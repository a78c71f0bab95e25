"""Plugins are found, and what is wrong with one is said of that one alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from plugin_factory import make_plugin

from deeplense_registry import Component, PluginError, catalogue, scan
from deeplense_registry.cli import main
from deeplense_registry.components import Row, find, load_factory, load_options


def row(name: str, distribution: str | None = None) -> Row:
    (one,) = [r for r in catalogue() if r.found.name == name and distribution in (None, r.found.distribution)]
    return one


def test_a_plugin_is_found_without_being_imported(plugin_folder: Path) -> None:
    module = make_plugin(plugin_folder, "quiet", "method", light="raise RuntimeError('imported')")
    (found,) = [one for one in scan() if one.name == "quiet"]
    assert (found.kind, found.distribution, found.version, found.clash) == ("method", "fake-quiet", "0.1", False)
    assert found.origin == "installed"
    assert module not in sys.modules


def test_a_working_plugin_is_ok_and_loads(plugin_folder: Path) -> None:
    make_plugin(plugin_folder, "fine", "backbone")
    one = find("backbone", "fine")
    assert one.state == "ok"
    assert load_options(one)().strength == 1.0
    assert load_factory(one).__name__ == "Implementation"
    assert find("backbone", "fake-fine:fine") == one


def test_an_editable_install_tells_its_folder(plugin_folder: Path) -> None:
    make_plugin(plugin_folder, "near", "method")
    info = plugin_folder / "fake_near-0.1.dist-info" / "direct_url.json"
    info.write_text('{"url": "file:///somewhere/near", "dir_info": {"editable": true}}')
    assert row("near").found.origin == "/somewhere/near"


BROKEN = [
    ("import nonsense_module", "ModuleNotFoundError: No module named 'nonsense_module'"),
    ("raise SystemExit('bye')", "SystemExit: bye"),
    ("x = 1", "module fake_bad yields nothing, but no method 'bad' for its entry point"),
    (
        """
        from deeplense_registry import hookimpl
        @hookimpl
        def deeplense_components():
            yield "simclr"
        """,
        "TypeError: fake_bad.deeplense_components yields 'simclr', which is no Component",
    ),
    (
        """
        from deeplense_registry import hookimpl
        @hookimpl
        def deeplense_component():
            yield None
        """,
        "unknown hook 'deeplense_component' in plugin",
    ),
    (
        """
        from deeplense_registry import Component, hookimpl
        @hookimpl
        def deeplense_components():
            yield Component(kind="method", name="Bad Name", api=1, factory="a:B", options="a:C", summary="")
        """,
        "ValueError: Component.name is 'Bad Name'; write it like 'simclr'",
    ),
]


@pytest.mark.parametrize(("light", "message"), BROKEN)
def test_a_broken_plugin_is_a_row_until_it_is_used(plugin_folder: Path, light: str, message: str) -> None:
    make_plugin(plugin_folder, "bad", "method", light=light)
    make_plugin(plugin_folder, "good", "method")
    one = row("bad")
    assert one.state == "broken"
    assert message in str(one.as_json()["summary"])
    assert row("good").state == "ok"
    with pytest.raises(PluginError) as caught:
        find("method", "bad")
    assert str(caught.value).startswith(
        "method 'bad' (fake-bad 0.1) is broken; mend, upgrade or uninstall it. Its error:\n"
    )
    assert message in str(caught.value)


def test_two_distributions_with_one_name(plugin_folder: Path) -> None:
    make_plugin(plugin_folder, "twin", "method", distribution="one-twin")
    make_plugin(plugin_folder, "twin", "method", distribution="other-twin", version="0.2")
    assert {r.state for r in catalogue() if r.found.name == "twin"} == {"clash"}
    with pytest.raises(PluginError) as caught:
        find("method", "twin")
    assert str(caught.value) == (
        'method "twin" is claimed by one-twin 0.1 and other-twin 0.2: '
        'write use = "one-twin:twin" or use = "other-twin:twin", or uninstall one'
    )
    assert find("method", "other-twin:twin").found.version == "0.2"


@pytest.mark.parametrize(("api", "who"), [(0, "fake-old"), (2, "deeplense-registry")])
def test_another_interface_version(plugin_folder: Path, api: int, who: str) -> None:
    make_plugin(plugin_folder, "old", "method", api=api)
    assert row("old").state == "wrong-api"
    with pytest.raises(PluginError) as caught:
        find("method", "old")
    assert str(caught.value) == (
        f"method 'old' (fake-old 0.1) is written for interface version {api}; this core has 1: "
        f"pip install --upgrade {who}"
    )


def test_a_class_that_cannot_be_imported(plugin_folder: Path) -> None:
    make_plugin(plugin_folder, "half", "method", implementation="import nonsense_module")
    with pytest.raises(PluginError) as caught:
        load_factory(find("method", "half"))
    assert "cannot load fake_half.implementation:Implementation; mend, upgrade or uninstall it" in str(caught.value)
    assert "ModuleNotFoundError: No module named 'nonsense_module'" in str(caught.value)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        ("moby", 'method "moby" is not installed: pip install deeplense-moby'),
        ("mobi", 'method "mobi" is not installed; did you mean "moby" (pip install deeplense-moby)?'),
        ("solid", 'method "solid" is not installed; did you mean "solids"? Installed methods: '),
        ("zzzz", 'method "zzzz" is not installed. Installed methods: '),
        ("nobody:solids", 'method "nobody:solids" is not installed; did you mean "solids"?'),
    ],
)
def test_what_is_missing_is_named(plugin_folder: Path, monkeypatch: pytest.MonkeyPatch, use: str, message: str) -> None:
    make_plugin(plugin_folder, "solids", "method")
    own = tuple(one for one in scan() if one.distribution.startswith("fake"))
    monkeypatch.setattr("deeplense_registry.components.loading.scan", lambda: own)
    with pytest.raises(PluginError) as caught:
        find("method", use)
    assert str(caught.value).startswith(message)


def test_a_module_with_several_components_is_imported_once(plugin_folder: Path) -> None:
    light = """
        from deeplense_registry import Component, hookimpl
        @hookimpl
        def deeplense_components():
            for name in ("first", "second"):
                yield Component(kind="method", name=name, api=1, factory="a:B", options="a:C", summary=name)
        """
    make_plugin(plugin_folder, "first", "method", light=light)
    info = plugin_folder / "fake_first-0.1.dist-info" / "entry_points.txt"
    info.write_text("[deeplense.methods]\nfirst = fake_first\nsecond = fake_first\n")
    assert [row(name).as_json()["summary"] for name in ("first", "second")] == ["first", "second"]


def test_records_refuse_what_is_no_name_or_path() -> None:
    good = {"kind": "method", "name": "a", "api": 1, "factory": "a:B", "options": "a:C", "summary": ""}
    Component(**good)
    with pytest.raises(ValueError, match=r"Component.factory is 'a\.B'; write it like 'deeplense_simclr\."):
        Component(**{**good, "factory": "a.B"})
    with pytest.raises(ValueError, match="kind"):
        Component(**{**good, "kind": "thing"})


def test_the_verb_lists_them(plugin_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_plugin(plugin_folder, "shown", "method")
    assert main(["plugins", "--json", "--kind", "method"]) == 0
    rows = {r["name"]: r for r in json.loads(capsys.readouterr().out)}
    assert set(rows["shown"]) == {*("kind", "name", "distribution", "version", "origin", "api", "state", "summary")}
    assert main(["plugins", "--kind", "method"]) == 0
    assert "shown" in capsys.readouterr().out


def test_no_plugins_at_all(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("deeplense_registry.cli.plugins.catalogue", lambda: ())
    assert main(["plugins"]) == 0
    assert capsys.readouterr().out.startswith("no plugins installed; for example: pip install deeplense-simclr")


@pytest.mark.parametrize("words", ["--help", "plugins", "plugins --json", "check specs/quickstart.toml", "schema"])
def test_light_verbs_import_no_torch(words: str) -> None:
    call = f"try: main({words.split()!r})\nexcept SystemExit: pass\n"
    code = "import sys; from deeplense_registry.cli import main\n" + call
    check = "import sys; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code + check], capture_output=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
