"""The page in a real browser, light and dark, wide and narrow: all is drawn, readable, and nothing is loaded."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dltrain_trainer.report.page import render_report
from tests.trainer.metrics.builders import of_classes
from tests.trainer.report.builders import of_a, of_training

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--virtual-time-budget=60000")
WIDTHS = (360, 1400)
SCHEMES = ("light", "dark")
INSPECT = Path(__file__).with_name("inspect.js").read_text()

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no browser; install the package chromium to test the report")


def seen(views: list[tuple[str, int, str]], folder: Path) -> list[dict[str, Any]]:
    """What a browser finds of pages, each of some width and colour scheme: the scheme, charts, what is wrong."""
    assert BROWSER is not None
    wrapper = folder / "inspect.html"
    arguments = json.dumps(views).replace("<", "\\u003c")
    wrapper.write_text(f"<!doctype html><body><script>{INSPECT}\ninspect({arguments})</script>")
    command = [BROWSER, *FLAGS, f"--user-data-dir={folder / 'profile'}", "--dump-dom", wrapper.as_uri()]
    shown = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
    found = re.search(r"<body>(\[.*\])</body>", shown, re.DOTALL)
    assert found is not None, shown
    return json.loads(html.unescape(found[1]))


def test_every_report_is_readable_in_light_and_dark_wide_and_narrow(tmp_path: Path) -> None:
    pages = {
        "ten classes": (of_training(), 8),
        "many classes": (of_training(of_classes(3000, 70), ()), 8),
        "numbers": (of_a("regression"), 5),
    }
    cases = [(name, width, scheme) for name in pages for width in WIDTHS for scheme in SCHEMES]
    rendered = {name: render_report(data) for name, (data, _) in pages.items()}
    found = seen([(rendered[name], width, scheme) for name, width, scheme in cases], tmp_path)
    assert dict(zip(cases, found, strict=True)) == {
        case: {"scheme": case[2], "charts": pages[case[0]][1], "problems": []} for case in cases
    }


def test_what_is_wrong_with_a_page_is_found(tmp_path: Path) -> None:
    page = render_report(of_a("regression"))
    unrestricted = re.sub(r"<meta http-equiv[^>]*>", "", page)
    broken = {
        "contrast": page.replace("--faint: #56616f", "--faint: #aaaaaa"),
        "wider than the window": page.replace("max-width: 72rem", "min-width: 72rem"),
        " over ": page.replace("font-size: 12.5px", "font-size: 40px").replace("font-size: 16px", "font-size: 60px"),
        "loads": unrestricted.replace("</main>", '<img alt="" src="http://127.0.0.1:9/nothing.png"></main>'),
    }
    found = seen([(text, 360, "light") for text in broken.values()], tmp_path)
    missed = [
        expected for expected, one in zip(broken, found, strict=True) if expected not in " ".join(one["problems"])
    ]
    assert missed == []
