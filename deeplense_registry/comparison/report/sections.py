"""What a report says of one study, section by section."""

from __future__ import annotations

from collections.abc import Sequence

from ..matrix import with_interval
from ..models import SUPERVISED, TRAINED, UNTRAINED
from ..scores import Condition
from .charts import cost_key, method_key
from .cost_charts import cost_charts
from .gallery import gallery
from .heat import KEY, heat_maps
from .label_charts import label_charts
from .markup import Markup, element, joined, table
from .provenance import commands, cost_table, run_details
from .study import Study, Task
from .training_charts import scalars, training_charts
from .verdicts import Verdict, sound, verdict


def study_section(study: Study) -> tuple[Markup, list[str]]:
    """Everything about a study, and what of it cannot be read."""
    verdicts = [verdict(study.group, condition) for condition in study.group.conditions()]
    pictures, problems = _pictures(study)
    parts = [
        element("h2", study.title),
        _headline(study, verdicts),
        _heat(study, verdicts),
        _labels(study),
        _cost(study),
        _training(study),
        pictures,
        _provenance(study),
    ]
    return element("section", *parts, id=study.anchor), problems


def _headline(study: Study, verdicts: Sequence[Verdict]) -> Markup | None:
    if not verdicts:
        return None
    good = sound(study)
    measured = sum(one.model is not None for one in study.members)
    lead = (
        f"{len(good)} of {measured} models beat their untrained network at some target and number of labels below "
        "(paired, Holm, 5 %) and have not collapsed."
    )
    told = {one.condition: one for one in verdicts}
    rows = [_leader(task, told[one]) for task in study.headlines for one in task.conditions]
    heads = ["target", "labels", "leads", "score (95 % interval)", "others not told apart", "beat untrained"]
    return joined(
        element("h3", "Headline"),
        element("p", lead, class_="lead"),
        element("p", *_sentences(study, told)),
        table("Who leads, by target and number of labels", heads, rows, class_="list") if rows else None,
    )


def _sentences(study: Study, told: dict[Condition, Verdict]) -> list[str]:
    return [_sentence(task, told[task.conditions[-1]]) for task in study.headlines]


def _sentence(task: Task, one: Verdict) -> str:
    """Of the largest budget: who leads, with what interval, and whether that is more than chance."""
    others = len(one.alike) - 1
    alone = (
        f"{others} other{'s' * (others > 1)} not told apart from it" if others else "significantly ahead of all others"
    )
    return (
        f"With {one.condition.labels:,} labels {one.leader.method} on {one.leader.backbone} leads {task.title}: "
        f"{_score(one)}, {alone}. "
    )


def _leader(task: Task, one: Verdict) -> list[str]:
    others = f"{len(one.alike) - 1} of {one.models - 1}" if one.models > 1 else "-"
    beating = f"{len(one.beating)} of {one.judged}" if one.judged else "-"
    labels = f"{one.condition.labels:,}"
    return [task.title, labels, one.leader.name, _score(one), others, beating]


def _score(one: Verdict) -> str:
    scores = one.leader.scores[TRAINED, one.condition]
    return with_interval(*scores.interval(one.condition.metric)[:3])


def _heat(study: Study, verdicts: Sequence[Verdict]) -> Markup | None:
    if not verdicts:
        return None
    first = study.headlines
    shown = [joined(element("h4", task.title), heat_maps(study, task, verdicts)) for task in first]
    others = [
        element("details", element("summary", task.title), heat_maps(study, task, verdicts))
        for task in study.tasks
        if task not in first
    ]
    return joined(element("h3", "Methods by backbones"), element("p", KEY, class_="note"), *shown, *others)


def _labels(study: Study) -> Markup | None:
    charts = {task: charts for task in study.tasks if (charts := label_charts(study, task)) is not None}
    if not charts:
        return None
    first = [joined(element("h4", task.title), charts[task]) for task in study.headlines if task in charts]
    others = [
        element("details", element("summary", task.title), found)
        for task, found in charts.items()
        if task not in study.headlines
    ]
    supervised = {encoder for model in study.group.models for encoder, _ in model.scores} & {SUPERVISED}
    return joined(element("h3", "Label efficiency"), method_key(study, UNTRAINED, *supervised), *first, *others)


def _cost(study: Study) -> Markup:
    charts = [cost_charts(study, task.conditions[-1]) for task in study.headlines]
    note = (
        "Images per second are the median while training, on each run's own machine; parameters are the encoder's; "
        "minutes are those of training that was kept."
    )
    key = cost_key(study) if any(charts) else None
    return joined(element("h3", "Cost"), element("p", note, class_="note"), key, *charts, cost_table(study))


def _training(study: Study) -> Markup | None:
    charts = [(title, training_charts(study, name, title)) for name, title in scalars(study).items()]
    parts = [joined(element("h4", title), found) for title, found in charts if found is not None]
    warned = [
        element("li", f"{one.name}, seed {run.manifest['seed']}: {text}")
        for one in study.members
        for run in one.runs
        for text in run.history.warnings
    ]
    if not parts and not warned:
        return None
    note = (
        "The chance level is the loss of a model that has learned nothing; a loss without one has no such curve. "
        "A red cross at a curve's end: the run collapsed."
    )
    return joined(
        element("h3", "Training"),
        element("p", note, class_="note"),
        method_key(study),
        *parts,
        joined(element("h4", "Warnings"), element("ul", *warned)) if warned else None,
    )


def _pictures(study: Study) -> tuple[Markup | None, list[str]]:
    found = [gallery(run, f"{one.name}, seed {run.manifest['seed']}") for one in study.members for run in one.runs]
    shown = [markup for markup, _ in found if markup is not None]
    problems = [line for _, several in found for line in several]
    return joined(element("h3", "Galleries and maps"), *shown) if shown else None, problems


def _provenance(study: Study) -> Markup:
    runs = [run for one in study.members for run in one.runs]
    details = [run_details(one, run) for one in study.members for run in one.runs]
    return joined(
        element("h3", "How to reproduce"), commands(runs), element("h3", "Specs, digests and versions"), *details
    )
