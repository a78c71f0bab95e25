"""A report in a real browser: nothing is refused or fails, and tables sort by click."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from deeplense_registry.comparison.report import report_page
from tests.comparison.report_runs import whole_survey

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium here")

Open = Callable[[str], tuple[str, str]]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return report_page(whole_survey(tmp_path_factory.mktemp("browser")))[0]


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    def browse(page: str) -> tuple[str, str]:
        """The document after scripts ran, and what the browser logged."""
        path = tmp_path / "page.html"
        path.write_text(page)
        command = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        command += [f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr", "--v=0", "--dump-dom"]
        done = subprocess.run([*command, path.as_uri()], capture_output=True, text=True, timeout=120, check=True)
        return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)

    return browse


def test_nothing_fails_and_nothing_is_refused(page: str, opened: Open) -> None:
    document, console = opened(page)
    assert console == ""
    assert re.findall("<h2>(.*?)</h2>", document) == ["lenses", "All runs"]
    assert len(re.findall("<h3>", document)) == 8


def test_the_policy_stops_whatever_would_be_loaded(page: str, opened: Open) -> None:
    evil = '<img src="http://127.0.0.1:9/x.png"><script>document.title = "run"</script>'
    document, console = opened(page.replace("<h1>", evil + "<h1>"))
    assert console.count("Content Security Policy") >= 2
    assert "<title>run</title>" not in document


def test_a_click_sorts_and_another_one_turns_it(page: str, opened: Open) -> None:
    click = """<script>
    for (const button of document.querySelectorAll("thead button"))
      if (button.textContent === "images per second") { button.click(); CLICKS }
    </script>"""
    free = re.sub('<meta http-equiv="Content-Security-Policy".*?>', "", page)

    def order(clicks: str) -> tuple[list[str], list[str]]:
        document, console = opened(free.replace("</body>", click.replace("CLICKS", clicks) + "</body>"))
        assert console == ""
        (table,) = re.findall(r"<caption>What each model costs.*?</table>", document, re.DOTALL)
        return re.findall(r'<th scope="row">(.*?)</th>', table), re.findall(r'aria-sort="(\w+)"', table)

    rising = ["dino-cvt", "dino-levit", "simclr-cvt", "simclr-levit"]
    assert order("") == (rising, ["ascending"])
    assert order("button.click();") == (rising[::-1], ["descending"])
