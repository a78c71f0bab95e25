"""Reports of planted runs: what they say, that they load nothing, and what they make of bad input."""

from __future__ import annotations

import base64
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from deeplense_registry import UserError
from deeplense_registry.cli import main
from deeplense_registry.comparison.report import report_page
from deeplense_registry.engine.folder import RunFolder
from deeplense_registry.survey import find_runs
from tests.comparison.planted_runs import plant, survey
from tests.comparison.report_runs import DIGEST, change, level, log, whole_survey
from tests.comparison.test_report_parts import Reader

HOSTILE = '</pre><script>alert("$x$")</script><img src=http://evil onerror=alert(1)>&'


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("report")
    whole_survey(root)
    return root


@pytest.fixture(scope="module")
def page(runs: Path) -> str:
    text, warnings = report_page(find_runs([runs]))
    assert warnings == []
    return text


def test_the_headline_says_who_leads_and_who_beats_untrained(page: str) -> None:
    read = Reader(page).text
    assert "planted: 4 runs" in read
    assert "2 of 4 models beat their untrained network" in read  # one collapsed, one is no better
    assert re.search(r"With 300 labels dino on \w+ leads class: auroc \(linear\): 0\.9\d\d \(0\.\d+ 0\.\d+\)", read)
    rows = re.findall(r'<th scope="row">class: auroc \(linear\)</th>(.*?)</tr>', page)
    assert len(rows) == 2
    assert all("dino-" in row and "<td>3 of 4</td>" in row for row in rows)


def test_the_maps_mark_the_best_the_useful_and_the_collapsed(page: str) -> None:
    maps = re.findall(r'<table class="heat"><caption>(.*?)</caption>(.*?)</table>', page)
    assert [caption for caption, _ in maps] == ["30 labels", "300 labels"]
    for _, body in maps:
        dino, simclr = re.findall(r'<th scope="row">(?:dino|simclr)</th>(.*?)</tr>', body)
        assert dino.count("<b>0.") >= 1
        assert dino.count("↑") == 2
        cvt, levit = re.findall("<td.*?</td>", simclr)
        assert "↑†" in cvt
        assert not set("↑†") & set(levit)
        assert re.findall(r'<th scope="row">(untrained|supervised)</th>', body) == ["untrained", "supervised"]
    assert "h8" in maps[0][1]
    assert "h0" in maps[0][1]


def test_every_section_is_there(page: str, runs: Path) -> None:
    headings = re.findall(r"<h3>(.*?)</h3>", page)
    assert headings == [
        "Headline",
        "Methods by backbones",
        "Label efficiency",
        "Cost",
        "Training",
        "Galleries and maps",
        "How to reproduce",
        "Specs, digests and versions",
    ]
    read = Reader(page)
    pictures = [found for tag, found in read.tags if tag == "img"]
    assert len(pictures) == 2 + 3 + 2 * 2 + 4  # labels, costs, two scalars on two backbones, a gallery a run
    assert all(found["alt"] for found in pictures)
    for run in find_runs([runs]):
        assert (run.path / "spec.toml").read_text() in read.text
        assert f"deeplense runs reproduce {run.path}" in read.text
    assert f"deeplense report {runs / 'planted'} -o report.html" in read.text
    assert "pip install deeplense-registry==0.1.0 deeplense-m==0.1.0" in read.text
    assert "the run is collapsing" in read.text


def test_the_table_of_costs_is_right(page: str) -> None:
    rows = re.findall(r'<tr><th scope="row">(\w+-\w+)</th><td>20</td><td>([\d.]+)</td><td>1.00</td></tr>', page)
    assert rows == [("dino-cvt", "100.0"), ("dino-levit", "200.0"), ("simclr-cvt", "300.0"), ("simclr-levit", "400.0")]


def test_the_same_runs_give_the_same_bytes(page: str, runs: Path) -> None:
    assert report_page(find_runs([runs]))[0] == page


def assert_loads_nothing(page: str) -> None:
    read = Reader(page)
    assert not {tag for tag, _ in read.tags} & {"link", "iframe", "object", "embed", "base", "form"}
    for _, attributes in read.tags:
        for name in ("src", "href", "srcset", "action", "poster"):
            assert str(attributes.get(name) or "#").startswith(("#", "data:image/"))
        assert not any(name.startswith("on") or name == "style" for name in attributes)
    (style,) = re.findall("<style>(.*?)</style>", page, re.DOTALL)
    assert "url(" not in style
    assert "@import" not in style
    for content in re.findall(r"data:image/svg\+xml;base64,([^\"]+)", page):
        svg = base64.b64decode(content).decode()
        assert not re.search(r'(?:href|src)="(?!#)', svg)
        assert "<script" not in svg
    assert sum(tag == "script" for tag, _ in read.tags) == 1


def test_the_page_loads_nothing(page: str) -> None:
    assert_loads_nothing(page)
    assert "default-src &#x27;none&#x27;" in page


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    (run, *others) = whole_survey(tmp_path)
    for one in others:
        shutil.rmtree(one.path)
    change(run, method=HOSTILE, backbone=HOSTILE, dataset=HOSTILE, collapsed=True, collapse=HOSTILE)
    (run.path / "spec.toml").write_text((run.path / "spec.toml").read_text() + f"# {HOSTILE}\n")
    (run.path / "log.jsonl").write_text((run.path / "log.jsonl").read_text().replace("the run is coll", "<b>x</b>"))
    (run.pictures / "trained" / "gallery.png").rename(run.pictures / "trained" / "<script>1.png")
    page, _ = report_page([run])
    assert_loads_nothing(page)
    assert Reader(page).text.count("alert(1)") > 10


def test_unfinished_runs_are_listed_and_not_compared(tmp_path: Path) -> None:
    whole_survey(tmp_path)
    begun = plant(tmp_path / "planted" / "swav-cvt-s0", None, method="swav", backbone="cvt", manifest=DIGEST)
    change(begun, status="interrupted", shards=None)
    log(begun, speed=50.0)
    page, warnings = report_page(find_runs([tmp_path]))
    assert warnings == [f"no part in the comparison have (interrupted): {begun.path}"]
    assert page.count("<h2>") == 2  # one study: it is of the same data
    rows = re.findall(r'<tr><th scope="row">swav-cvt</th><td>interrupted</td>', page)
    assert len(rows) == 1
    assert "swav ends at" in page  # its curve


def test_runs_without_measurements_make_a_page_that_says_so(tmp_path: Path) -> None:
    plant(tmp_path / "planted" / "a", [], manifest=DIGEST)
    page, warnings = report_page(find_runs([tmp_path]))
    assert warnings[0].startswith("no part in the comparison have (no measurements (its spec has no [evaluate]))")
    assert warnings[1].startswith("no run has measurements yet, so nothing is compared")
    assert warnings[1] in Reader(page).text
    assert "Headline" not in page


def test_half_written_and_damaged_runs_are_named_and_the_rest_is_shown(tmp_path: Path) -> None:
    one, two, three, four = whole_survey(tmp_path)
    (one.path / "manifest.json").write_text('{"format": 1, "met')
    (two.path / "spec.toml").unlink()
    (three.path / "measurements.json").write_text('[{"metric": "auroc", "better": 1}]')
    (four.path / "log.jsonl").write_text("no json\n")
    (four.pictures / "trained" / "gallery.png").write_bytes(b"none")
    page, warnings = report_page(find_runs([tmp_path]))
    said = "\n".join(warnings)
    for text in (
        "manifest.json: damaged",
        "spec.toml: missing",
        "no measurements of this version",
        "log.jsonl: damaged",
    ):
        assert text in said
    assert "gallery.png: no picture" in said
    assert Reader(page).text.count("manifest.json: damaged") == 2  # above, and in the list of runs
    assert "1 models" in page or "0 of 1" in page
    (three.path / "spec.toml").write_text("[run")
    (four.path / "spec.toml").write_bytes(b"\xff\xfe")
    assert "spec.toml: damaged" in "\n".join(report_page(find_runs([tmp_path]))[1])


def test_runs_of_different_data_are_kept_apart(tmp_path: Path) -> None:
    other = {"dataset": {"surveys": {"use": "surveys"}}}
    skewed = {"skew": {"target": "class", "on": "labels", "imbalance": 10.0}}
    few: dict[str, Any] = {"methods": ("dino",), "backbones": ("cvt",), "budgets": (30,)}
    survey(tmp_path / "a", level, **few, manifest=DIGEST)
    survey(tmp_path / "b", level, **few, spec=other, manifest={**DIGEST, "shards": "6b" * 32, "dataset": "surveys"})
    survey(tmp_path / "c", level, **few, spec=skewed, manifest=DIGEST)
    survey(tmp_path / "d", level, **few, spec={"labels": {"seed": 1, "stratified": True}}, manifest=DIGEST)
    page, warnings = report_page(find_runs([tmp_path]))
    titles = re.findall("<h2>(.*?)</h2>", page)
    assert len(titles) == len(set(titles)) == 5
    assert {re.sub(r" \(.*", "", title) for title in titles} == {
        "lenses",
        "surveys",
        "lenses, class skewed on labels",
        "All runs",
    }
    assert "compared within each alone" in warnings[0]


def test_models_of_one_name_are_told_apart(tmp_path: Path) -> None:
    whole_survey(tmp_path / "a")
    whole_survey(tmp_path / "b", spec={"train": {"epochs": 9}})
    page, _ = report_page(find_runs([tmp_path]))
    methods = set(re.findall(r'<th scope="row">(dino[^<]*)</th><td data-sort', page))
    assert len(methods) == 2
    assert all(re.fullmatch(r"dino \(planted \w{4}\)", method) for method in methods)
    assert "simclr (planted" in page
    assert ">cvt<" in page  # the backbones are the same


def test_scores_without_resamples_are_shown_and_judged_by_nobody(tmp_path: Path) -> None:
    runs = whole_survey(tmp_path, budgets=(30,), draws=1)
    for run in runs:
        (run.path / "replicates.npz").unlink()
    page, _ = report_page(find_runs([tmp_path]))
    assert "0 of 4 models beat" in page
    assert "Label efficiency" not in page  # a single budget is no curve


def test_the_verb_writes_the_page(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(runs), "-o", str(tmp_path / "r.html")]) == 0
    assert capsys.readouterr().out.startswith(f"{tmp_path / 'r.html'}: ")
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")
    (tmp_path / "file").write_text("")
    assert main(["report", str(runs), "-o", str(tmp_path / "file" / "r.html")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_no_runs_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path)]) == 2
    assert "no run here" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["report"])


def test_warnings_go_to_the_terminal_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plant(tmp_path / "a", None, manifest={**DIGEST, "status": "failed"})
    assert main(["report", str(tmp_path), "-o", str(tmp_path / "r.html")]) == 0
    assert "warning: no part in the comparison have (failed)" in capsys.readouterr().err


def test_without_matplotlib_there_is_one_message(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UserError, match=r"needs matplotlib: pip install"):
        report_page([RunFolder(runs)])


def test_the_planted_levels_are_what_the_tests_think() -> None:
    assert level("dino", "cvt", 300) > level("simclr", "cvt", 300) > level("simclr", "levit", 300)
