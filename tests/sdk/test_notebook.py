"""What a notebook shows of jobs and their results."""

from html.parser import HTMLParser
from typing import Any

from dltrain.api.status import Results
from tests.sdk.builders import job, stored

HOSTILE = "<img src=x onerror=alert(1)>"
STEPS = [
    {
        "step": "original",
        "outcome": "original",
        "metrics": {"accuracy": 0.91, "mse": 1.04e-5},
        "fileBytes": 4_400_000,
        "speedup": 1.0,
    },
    {"step": "1 prune", "outcome": "undone", "metrics": {}, "reasons": ["accuracy fell", "and more"]},
]


class Cells(HTMLParser):
    """The rows of the tables of a piece of HTML, and which elements it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.elements: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a row or a cell."""
        self.elements.add(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in {"th", "td"}:
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        """Add to a cell."""
        self.rows[-1][-1] += data


def shown(value: Any) -> list[list[str]]:
    """The rows that a notebook shows; nothing but tables is in them."""
    cells = Cells(value._repr_html_())
    assert cells.elements <= {"table", "thead", "tbody", "tr", "th", "td"}
    return cells.rows


def test_a_job_before_it_is_submitted() -> None:
    assert shown(job({"command": ["x"], "workers": {"replicas": 3}})) == [
        ["Job", "a"],
        ["Ranks", "3"],
        ["Phase", "not submitted"],
    ]


def test_a_failed_job_with_its_cause_as_text() -> None:
    failure = {"reason": "UserError", "message": HOSTILE}
    progress = {"stage": "train", "summary": "66%", "loss": 0.42}
    assert shown(stored({"phase": "Failed", "progress": progress, "failure": failure})) == [
        ["Job", "ml/a"],
        ["Ranks", "1"],
        ["Phase", "Failed"],
        ["Progress", "train 66%"],
        ["Loss", "0.42"],
        ["Failure", f"UserError: {HOSTILE}"],
    ]


def test_results_with_the_steps_of_a_compression() -> None:
    results = {"metrics": {"accuracy": 0.91, "mse": 1.04e-5}, "artifacts": "pvc://models/a", "compression": STEPS}
    table = [
        ["step", "outcome", "accuracy", "mse", "bytes", "speed-up", ""],
        ["original", "original", "0.9100", "1.04e-05", "4,400,000", "1.00x", ""],
        ["1 prune", "undone", "", "", "", "", "accuracy fell; and more"],
    ]
    metrics = [["accuracy", "0.9100"], ["mse", "1.04e-05"]]
    assert shown(Results.model_validate(results)) == [*metrics, ["artefacts", "pvc://models/a"], *table]
    line = ["Results", "accuracy 0.9100, mse 1.04e-05"]
    assert shown(stored({"phase": "Succeeded", "results": results}))[-4:] == [line, *table]
