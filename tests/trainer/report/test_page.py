"""The page: well-formed, self-contained, accessible, and safe whatever names it shows."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser

import pytest

from dltrain_trainer.report.data import ReportData
from dltrain_trainer.report.page import render_report
from tests.trainer.metrics.builders import of_classes
from tests.trainer.report.builders import EMPTY, of_a, of_training

VOID = {"meta", "link", "img", "br", "hr", "input"}
PAGES = [
    pytest.param(of_training(), id="ten classes"),
    pytest.param(of_training(of_classes(3000, 70), ()), id="many classes"),
    pytest.param(of_training(of_classes(300, 2), ("ham", "spam")), id="two classes"),
    pytest.param(of_a("multilabel"), id="labels"),
    pytest.param(of_a("regression"), id="numbers"),
    pytest.param(EMPTY, id="nothing yet"),
]


@dataclass
class Element:
    tag: str
    attributes: dict[str, str | None]
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def all(self, tag: str) -> list[Element]:
        """The elements of a kind below this one."""
        below = [found for child in self.children for found in child.all(tag)]
        return [child for child in self.children if child.tag == tag] + below

    def whole_text(self) -> str:
        return self.text + "".join(child.whole_text() for child in self.children)


class Parser(HTMLParser):
    """Builds a tree; an end tag that is missing or too many is an error."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Element("root", {})
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self._open.append(self._open[-1].children[-1])

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open[-1].children.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        self._open[-1].text += data


def parsed(data: ReportData) -> Element:
    parser = Parser()
    parser.feed(render_report(data))
    parser.close()
    assert parser._open == [parser.root]
    return parser.root


@pytest.mark.parametrize("data", PAGES)
def test_ids_are_unique_and_every_reference_has_its_target(data: ReportData) -> None:
    page = parsed(data)
    elements = [element for tag in TAGS_WITH_IDS for element in page.all(tag)]
    ids = Counter(element.attributes["id"] for element in elements if "id" in element.attributes)
    names = [element.attributes.get("aria-labelledby") for element in elements]
    assert max(ids.values(), default=1) == 1
    assert {name for text in names if text for name in text.split()} <= set(ids)


TAGS_WITH_IDS = ("section", "h2", "h3", "div", "ul", "figcaption", "svg", "title", "desc", "table")


@pytest.mark.parametrize("data", PAGES)
def test_every_chart_has_a_title_a_description_and_a_table(data: ReportData) -> None:
    for figure in parsed(data).all("figure"):
        (chart,) = (svg for svg in figure.all("svg") if svg.attributes.get("role") == "img")
        assert [child.tag for child in chart.children[:2]] == ["title", "desc"]
        assert all(child.text.strip() for child in chart.children[:2])
        rows = figure.all("details")[0].all("tr")
        assert len(rows) >= 2
        assert len({len(row.children) for row in rows}) == 1
        assert all(cell.attributes.get("scope") for cell in figure.all("th"))


@pytest.mark.parametrize("data", PAGES)
def test_the_page_needs_nothing_else(data: ReportData) -> None:
    html = render_report(data)
    page = parsed(data)
    assert not [tag for tag in ("script", "link", "img", "iframe", "object", "embed", "image", "use") if page.all(tag)]
    assert re.findall(r"(?:https?:)?//|url\(|@import|\bsrc=|\bhref=|\bon\w+=", html) == []
    policies = [meta.attributes.get("content") for meta in page.all("meta") if "http-equiv" in meta.attributes]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]


@pytest.mark.parametrize("data", PAGES)
def test_paths_are_numbers(data: ReportData) -> None:
    html = render_report(data)
    for path in re.findall(r' d="([^"]*)"', html):
        assert re.fullmatch(r"M-?[\d.]+,-?[\d.]+(L-?[\d.]+,-?[\d.]+)*Z?", path)
    assert "nan" not in re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL).lower()


def test_results_and_facts_are_on_the_page() -> None:
    data = of_training()
    page = parsed(data)
    names = [element.text for element in page.all("dt")]
    assert names[:2] == ["accuracy", "top-5 accuracy"]
    assert page.all("dd")[0].text == f"{data.evaluation['metrics']['accuracy']:.4f}"
    assert {"model", "data", "ranks"} <= set(names)
    assert page.all("h1")[0].text == "fashion-resnet18"
    assert [heading.text for heading in page.all("h2")] == ["Results on the test split", "Job", "Training", "Model"]


def test_an_empty_report_is_a_page_with_a_name() -> None:
    page = parsed(EMPTY)
    assert (page.all("h1")[0].text, page.all("h2"), page.all("figure")) == ("nothing-yet", [], [])


def test_names_cannot_become_markup() -> None:
    hostile = '"><script>alert(1)</script>&{{ 7 * 7 }}'
    data = of_training(of_classes(300, 3), (hostile,) * 3)
    page = parsed(replace(data, job=hostile, facts=((hostile, hostile),)))
    assert page.all("script") == []
    assert page.all("h1")[0].text == hostile
    assert page.all("title")[0].text == f"{hostile}: training report"


def test_the_same_data_gives_the_same_page() -> None:
    assert render_report(of_training()) == render_report(of_training())
