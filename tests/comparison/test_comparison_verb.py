"""``deeplense compare``: what it shows, and what it says of runs that cannot be compared."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from io import StringIO

import numpy as np
import pytest
from comparison.planted_runs import measurement, plant, scores, survey

from deeplense_registry.cli import main

LEVEL = {"dino": 0.85, "simclr": 0.75, "swav": 0.75}


def level(method, backbone, labels):
    return LEVEL[method] + 0.03 * (labels > 100) + 0.05 * (backbone == "cvt")


def rows(value=0.7, *, model="one", evaluator="linear", metric="auroc", labels=30, **more):
    table = scores(value, model=model, seed=0, budget=labels, draws=5, **more)
    return [measurement(table, evaluator=evaluator, target="class", metric=metric, labels=labels, encoder="trained")]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("survey")
    survey(root, level, seeds=(0, 1, 2, 3, 4))
    return root


@pytest.fixture
def verb(capsys):
    def call(*words, code=0):
        assert main(["compare", *map(str, words)]) == code
        return capsys.readouterr()

    return call


def test_methods_by_backbones_and_ranks(runs, verb):
    said = verb(runs).out
    lines = [line.split() for line in said.splitlines()]
    assert "linear class auroc, 30 labels" in said
    assert "linear class auroc, 300 labels" in said
    assert ["cvt", "levit"] in lines
    ranks = {line[0]: line[1:] for line in lines if line and "-" in line[0] and len(line) >= 3}
    assert ranks["dino-cvt"] == ["1.00", "a"]
    assert set(ranks) == {f"{method}-{backbone}" for method in LEVEL for backbone in ("cvt", "levit")}
    assert [line[0] for line in lines if len(line) == 7] == [
        "dino",
        "simclr",
        "swav",
        "untrained",
        "supervised",
    ] * 2 or (
        [line[0] for line in lines if len(line) == 7] == ["dino", "swav", "simclr", "untrained", "supervised"] * 2
    )


def test_numbers_for_scripts(runs, verb):
    (found,) = json.loads(verb(runs, "--json", "--baseline", "untrained", "--efficiency").out)
    best = found["models"][0]
    assert (best["name"], best["mean_rank"], best["seeds"]) == ("dino-cvt", 1.0, [0, 1, 2, 3, 4])
    trained = [row for row in found["scores"] if row["encoder"] == "trained"]
    assert len(trained) == 12
    assert all(row["low"] < row["value"] < row["high"] and row["draws"] == 5 for row in trained)
    assert {row["evaluator"] for row in found["scores"] if row["encoder"] == "supervised"} == {"supervised"}
    assert len(found["overall"]) == 15
    assert len(found["differences"]) == 30
    assert all(row["significant"] and row["difference"] > 0.1 for row in found["baseline"])
    assert {row["beyond"] for row in found["efficiency"]} == {"more"}


def test_csv_is_read_back(runs, verb):
    def table(*words):
        return list(csv.DictReader(StringIO(verb(runs, "--csv", *words).out)))

    assert len(table()) == 2 * 6 * 3
    assert {row["encoder"] for row in table("--labels", "30")} == {"trained", "untrained", "supervised"}
    (row, *_) = table("--baseline", "supervised", "--labels", "30", "--sort", "name")
    assert (row["method"], row["baseline"]) == ("dino", "supervised")
    assert float(row["difference"]) == pytest.approx(0.2, abs=0.03)
    (row, *_) = table("--efficiency")
    assert (row["factor"], row["beyond"], row["labels"]) == ("", "more", "30")
    assert len(table("--pairs", "--labels", "30")) == 15


def test_a_label_efficiency_is_found(tmp_path, verb):
    """The encoder's curve is the supervised one's, three times fewer labels on."""
    budgets = (10, 30, 90, 270)

    def both(seed):
        found = []
        for labels in budgets:
            for encoder, evaluator, factor in (("trained", "linear", 3.0), ("supervised", "supervised", 1.0)):
                who = {"model": encoder, "seed": seed, "budget": labels, "draws": 5, "own": 0.001}
                table = scores(0.5 + 0.08 * np.log10(labels * factor), **who)
                about = {"target": "class", "metric": "auroc", "labels": labels, "encoder": encoder}
                found.append(measurement(table, evaluator=evaluator, **about))
        return found

    for seed in range(3):
        plant(tmp_path / str(seed), both(seed), seed=seed)
    (found,) = json.loads(verb(tmp_path, "--json", "--efficiency").out)
    factors = {row["labels"]: row for row in found["efficiency"]}
    assert factors[10]["beyond"] == "more"
    assert np.exp(np.mean([np.log(factors[labels]["factor"] or labels / 10) for labels in (90, 270)])) == pytest.approx(
        3.0, rel=0.5
    )
    assert all((factors[labels]["low"] or 0) <= 3.0 <= (factors[labels]["high"] or np.inf) for labels in (90, 270))


def test_markdown_and_latex(runs, verb):
    said = verb(runs, "--markdown", "--labels", "30").out
    assert "|  | cvt | levit |\n|---|---:|---:|" in said
    assert "| **0." in said
    latex = verb(runs, "--latex", "--labels", "30", "--baseline", "untrained").out
    assert latex.count(r"\begin{tabular}{llrrrrr}") == 1
    assert r"5 \%" not in latex
    assert r"$<$ 0.001" in latex


def test_pairs_and_baselines_on_the_terminal(runs, verb):
    said = verb(runs, "--pairs", "--labels", "30").out
    assert "paired differences" in said
    said = verb(runs, "--baseline", "untrained", "--efficiency").out
    assert "Against untrained" in said
    assert "better" in said
    assert "Label efficiency against untrained" in said


def test_models_are_sorted(runs, verb):
    def order(key):
        (found,) = json.loads(verb(runs, "--json", "--sort", key).out)
        return [model["name"] for model in found["models"]]

    assert order("name") == sorted(order("rank"))
    assert order("linear/class/auroc/30")[0] == order("rank")[0] == "dino-cvt"
    assert [name.partition("-")[2] for name in order("backbone")] == ["cvt"] * 3 + ["levit"] * 3
    said = verb(runs, "--sort", "size", code=2).err
    assert "--sort size: give rank, name, method, backbone, or one of linear/class/auroc/30" in said


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_the_diagram_is_drawn_with_the_same_bytes_again(runs, verb, tmp_path, suffix):
    pytest.importorskip("matplotlib")
    paths = [tmp_path / f"{n}.{suffix}" for n in range(2)]
    for path in paths:
        assert str(path) in verb(runs, "--cd", path).err
    assert paths[0].read_bytes() == paths[1].read_bytes()
    if suffix == "svg":
        drawn = paths[0].read_text()
        assert "mean rank (1 is best)" in drawn
        assert "dino-cvt" in drawn


def test_a_diagram_that_cannot_be(runs, verb, tmp_path, monkeypatch):
    assert "no kind of picture" in verb(runs, "--cd", tmp_path / "cd.txt", code=2).err
    plant(tmp_path / "alone", rows())
    assert "needs two models" in verb(tmp_path / "alone", "--cd", tmp_path / "cd.svg", code=2).err
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert "pip install matplotlib" in verb(runs, "--cd", tmp_path / "cd.svg", code=2).err


def test_one_run_is_shown_whole(tmp_path, verb):
    plant(tmp_path / "one", rows() + rows(metric="accuracy"), manifest={"collapsed": True})
    said = verb(tmp_path).out
    assert "accuracy" in said
    assert "collapsed" in said
    assert "accuracy" in verb(tmp_path, "--each").out
    assert "accuracy" not in verb(tmp_path, "--metric", "auroc").out


def test_collapsed_models_are_marked(tmp_path, verb):
    plant(tmp_path / "one", rows(0.5, model="a"), method="dino", manifest={"collapsed": True})
    plant(tmp_path / "two", rows(0.9, model="b"), method="swav")
    said = verb(tmp_path).out
    assert "†" in next(line for line in said.splitlines() if line.split()[:1] == ["dino"])
    assert "† collapsed" in said
    assert "With one seed each" in " ".join(said.split())
    (found,) = json.loads(verb(tmp_path, "--json").out)
    assert {model["method"]: model["collapsed"] for model in found["models"]} == {"dino": [0], "swav": []}


def test_data_sets_are_kept_apart(tmp_path, verb):
    plant(tmp_path / "a", rows(model="a"), method="dino")
    plant(tmp_path / "b", rows(model="b"), method="swav", manifest={"dataset": "pairs", "shards": "00" * 32})
    found = verb(tmp_path)
    assert "== lenses ==" in found.out
    assert "== pairs ==" in found.out
    assert "different images or labels" in found.err
    assert "lenses (1 run); pairs (1 run)" in found.err
    pictures = verb(tmp_path / "a", tmp_path / "b", "--markdown").out
    assert "## lenses" in pictures


def test_labels_drawn_differently_cannot_be_paired(tmp_path, verb):
    base = {"budgets": [30], "draws": 5, "stratified": True}
    plant(tmp_path / "a", rows(model="a"), method="dino", spec={"labels": {**base, "seed": 0}})
    plant(tmp_path / "b", rows(model="b"), method="swav", spec={"labels": {**base, "seed": 1}})
    skew = {"target": "class", "imbalance": 10.0, "on": "labels"}
    plant(tmp_path / "c", rows(model="c"), method="moby", spec={"labels": {**base, "seed": 1}, "skew": skew})
    found = verb(tmp_path)
    assert "labels.seed = 0" in found.out
    assert "labels.seed = 1, skew of class on labels" in found.err
    assert "labels.seed = 1, skew none" in found.err
    other = plant(tmp_path / "d", rows(model="d"), method="dino", manifest={"shards": "11" * 32}, spec={"labels": base})
    assert "images 11111111" in verb(tmp_path / "a", other.path, code=0).err or "labels.seed" in found.err


def test_the_same_name_on_other_images_is_told(tmp_path, verb):
    plant(tmp_path / "a", rows(model="a"), method="dino")
    plant(tmp_path / "b", rows(model="b"), method="swav", manifest={"shards": "11" * 32})
    assert "lenses, images 11111111" in verb(tmp_path).err


def test_seeds_that_do_not_meet_are_not_tested(tmp_path, verb):
    plant(tmp_path / "a", rows(0.6, model="a"), method="dino", seed=0)
    plant(tmp_path / "b", rows(0.9, model="b"), method="swav", seed=1)
    found = verb(tmp_path)
    assert "shares no seed with" in found.err
    assert "nothing is tested" in " ".join(found.out.split())
    assert "no untrained encoder was measured" in verb(tmp_path, "--baseline", "untrained", code=2).err
    assert "add [evaluate.supervised]" in verb(tmp_path, "--baseline", "supervised", code=2).err
    assert "two label budgets" in verb(tmp_path, "--efficiency", code=2).err


def test_models_of_one_name_are_told_apart(tmp_path, verb):
    plant(tmp_path / "short" / "x", rows(model="a"), spec={"train": {"epochs": 1}})
    plant(tmp_path / "long" / "x", rows(model="b"), spec={"train": {"epochs": 9}})
    said = verb(tmp_path).out
    assert "simclr (short)-levit" in said
    assert "simclr (long)-levit" in said


def test_models_of_one_spec_folder_are_told_apart_by_their_own(tmp_path, verb):
    for epochs in (1, 9):
        plant(tmp_path / "s" / f"e{epochs}", rows(model=str(epochs)), spec={"train": {"epochs": epochs}})
    assert "simclr (s/e1)-levit" in verb(tmp_path).out


def test_a_run_given_twice_counts_once(tmp_path, verb):
    for name in ("a", "b"):
        plant(tmp_path / name, rows(), method="dino")
    found = verb(tmp_path, "--json")
    assert "same model and seed" in found.err
    assert json.loads(found.out)[0]["models"][0]["seeds"] == [0]


def test_unfinished_runs_are_left_out_with_a_word(tmp_path, verb):
    plant(tmp_path / "a", rows(), method="dino")
    plant(tmp_path / "b", None, method="swav", manifest={"status": "interrupted"})
    plant(tmp_path / "c", [], method="moby")
    found = verb(tmp_path)
    assert "no measurements (interrupted, not evaluated); left out" in found.err
    assert "no measurements (without [evaluate]); left out" in found.err
    said = verb(tmp_path / "b", tmp_path / "c", code=2).err
    assert "no measurements yet" in said


def test_measurements_of_another_version(tmp_path, verb):
    plant(tmp_path / "a", rows(), method="dino")
    run = plant(tmp_path / "b", rows(), method="swav")
    (run.path / "measurements.json").write_text('[{"metric": "auroc", "score": 0.7}]')
    assert "no measurements of this version" in verb(tmp_path, code=2).err
    (run.path / "measurements.json").write_text("[{")
    assert "damaged" in verb(tmp_path, code=2).err


def test_scores_of_another_evaluation(tmp_path, verb):
    plant(tmp_path / "a", rows(), method="dino")
    run = plant(tmp_path / "b", rows(), method="swav")
    (key,) = run.replicates()
    np.savez(run.path / "replicates.npz", **{key: np.zeros((3, 2))})
    assert "it is of another evaluation than measurements.json" in verb(tmp_path, code=2).err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: (path / "spec.toml").unlink(), "spec.toml: missing: the run is half-written"),
        (lambda path: (path / "spec.toml").write_text("[run"), "spec.toml: damaged"),
        (lambda path: (path / "manifest.json").write_text('{"format": 1}'), "no 'dataset' in it: half-written"),
        (lambda path: (path / "manifest.json").write_text('{"format": 9}'), "format 9, but this version reads 1"),
        (lambda path: (path / "manifest.json").write_text("{"), "damaged"),
    ],
)
def test_half_written_runs(tmp_path, verb, change, message):
    plant(tmp_path / "a", rows(), method="dino")
    change(plant(tmp_path / "b", rows(), method="swav").path)
    assert message in verb(tmp_path, code=2).err


def test_no_runs(tmp_path, verb):
    assert "no run here" in verb(tmp_path, code=2).err
    assert "no such folder" in verb(tmp_path / "none", code=2).err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--metric", "f1"), "--metric f1: the runs have auroc, accuracy"),
        (("--target", "mass"), "--target mass: the runs have class"),
        (("--labels", "31"), "--labels 31: the runs have 30"),
        (("--evaluator", "knn"), "--evaluator knn: the runs have linear"),
    ],
)
def test_what_no_run_has(tmp_path, verb, words, message):
    plant(tmp_path / "a", rows() + rows(metric="accuracy"))
    assert message in verb(tmp_path, *words, code=2).err


def test_no_headline_metric(tmp_path, verb):
    plant(tmp_path / "a", rows(metric="nmi"), method="dino")
    plant(tmp_path / "b", rows(metric="nmi", model="b"), method="swav")
    assert "nothing of auroc or r2 to compare; the runs have nmi" in verb(tmp_path, code=2).err
    assert "class nmi, 30 labels" in verb(tmp_path, "--metric", "nmi").out


def test_a_group_without_what_is_asked_is_left_out(tmp_path, verb):
    plant(tmp_path / "a", rows(), method="dino")
    plant(tmp_path / "b", rows(metric="nmi"), method="swav", manifest={"dataset": "pairs", "shards": "0"})
    found = verb(tmp_path)
    assert "pairs: nothing of auroc or r2" in found.err
    assert "== pairs ==" not in found.out


def test_measurements_without_replicates_are_shown(tmp_path, verb):
    for method, value in (("dino", 0.8), ("swav", 0.7)):
        (one,) = rows(value, labels=0)
        from attrs import evolve

        plant(tmp_path / method, [evolve(one, replicates=None)], method=method)
    (found,) = json.loads(verb(tmp_path, "--json").out)
    assert all(row["low"] < row["value"] < row["high"] for row in found["scores"])
    assert not found["differences"]  # one score each, and nothing that tells how sure it is
    assert not found["overall"]
    assert "linear class auroc" in verb(tmp_path).out


def test_a_method_without_a_backbone_leaves_a_gap(tmp_path, verb):
    plant(tmp_path / "a", rows(model="a"), method="dino", backbone="cvt")
    plant(tmp_path / "b", rows(model="b"), method="swav", backbone="levit")
    plant(tmp_path / "c", rows(model="c", labels=300), method="swav", backbone="cvt")
    said = " ".join(verb(tmp_path).out.split())
    assert "dino" in said
    assert " - " in said


def test_help_imports_no_torch():
    code = "import sys; from deeplense_registry.cli.main import parser; parser(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
