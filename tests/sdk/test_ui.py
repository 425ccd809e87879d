"""The web page in a real browser, on a real API server."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web

from dltrain.async_client import AsyncClient
from dltrain.client import Client
from dltrain.effects import Request
from dltrain.errors import ClusterError
from dltrain.names import INCARNATION_LABEL, INDEX_LABEL, JOB_LABEL
from dltrain.ui.server import RUNNER, application
from tests.apiserver import ApiServer
from tests.sdk.browser import PROGRAM, Page, browsing
from tests.sdk.builders import condition, job
from tests.sdk.test_both_clients import note, write_status

needs_browser = pytest.mark.skipif(PROGRAM is None, reason="no browser; install the package chromium to test the page")
ROOT = Path(__file__).resolve().parents[2]
SYSTEM = "namespaces/dltrain-system"
PATHS = {
    "ServiceAccount": f"/api/v1/{SYSTEM}/serviceaccounts",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "Deployment": f"/apis/apps/v1/{SYSTEM}/deployments",
}
PICTURES = Path(os.environ["DLTRAIN_PICTURES"]) if "DLTRAIN_PICTURES" in os.environ else None
"""Where screenshots are kept for people to look at."""
PROGRESS = {
    "stage": "train",
    "epoch": 2,
    "epochs": 3,
    "step": 40,
    "steps": 60,
    "percent": 66,
    "summary": "66%",
    "loss": 0.42,
    "losses": [2.3, 1.6, 1.1, 0.8, 0.7, 0.6, 0.55, 0.5, 0.47, 0.45, 0.43, 0.42],
    "samplesPerSecond": 5321.0,
    "timeSplit": {"compute": 0.7, "communication": 0.2, "data": 0.06},
    "eta": "1m20s",
}
HOSTILE = "<img src=x onerror=alert(1)>"
FAILURE = {
    "reason": "UserError",
    "message": f"rank 1 raised ValueError {HOSTILE}",
    "rank": 1,
    "pod": "broken-1-1",
    "node": "node-b",
    "exitCode": 1,
    "log": f"Traceback\nValueError: {HOSTILE}",
}


@pytest.fixture
async def address(api_server: ApiServer, namespace: str) -> AsyncIterator[str]:
    """Where the page of the test's namespace is."""

    def connect() -> AsyncClient:
        return AsyncClient(namespace, kubeconfig=api_server.kubeconfig)

    app = application(connect, frozenset({"127.0.0.1"}), everywhere=False)
    runner = web.AppRunner(app, **{**RUNNER, "shutdown_timeout": 0.1})
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    """A tab."""
    async with browsing(tmp_path) as opened:
        yield opened


async def kept(page: Page, name: str) -> None:
    """Keep a picture for people."""
    if PICTURES is not None:
        await page.picture(PICTURES / f"{name}.png")


def make_pod(api_server: ApiServer, namespace: str, index: int) -> None:
    """A worker's pod of the job `broken`."""
    labels = {JOB_LABEL: "broken", INDEX_LABEL: str(index), INCARNATION_LABEL: "1"}
    spec = {"containers": [{"name": "worker", "image": "x"}], "nodeName": f"node-{'ab'[index]}"}
    body = {"metadata": {"name": f"broken-{index}-1", "labels": labels}, "spec": spec}
    api_server.request("POST", f"/api/v1/namespaces/{namespace}/pods", body)


@needs_browser
async def test_the_list_shows_jobs_and_keeps_up(
    client: Client, api_server: ApiServer, address: str, page: Page
) -> None:
    for name, phase in (("digits", "Succeeded"), ("vision", "Running"), ("waiting", "Pending")):
        client.submit(job(name=name))
        write_status(api_server, client.namespace, name, phase=phase, progress=PROGRESS if phase == "Running" else None)
    await page.open(address)
    await page.until("document.querySelectorAll('#rows tr').length === 3")
    assert await page.value("document.querySelector('#state').textContent") == "3 jobs, 1 running"
    await kept(page, "list")
    write_status(api_server, client.namespace, "waiting", phase="Running")
    waited = await page.until("document.querySelectorAll('#rows .Running').length === 2")
    assert waited < 2
    client.submit(job(name="late"))
    assert await page.until("document.querySelectorAll('#rows tr').length === 4") < 2
    client.delete("digits")
    assert await page.until("document.querySelectorAll('#rows tr').length === 3") < 2
    assert page.errors == []


@needs_browser
@pytest.mark.parametrize("look", [(1200, False), (400, True)], ids=["wide and light", "narrow and dark"])
async def test_a_jobs_page_tells_everything(
    client: Client, api_server: ApiServer, address: str, tmp_path: Path, look: tuple[int, bool]
) -> None:
    client.submit(job({"command": ["true"], "workers": {"replicas": 2}}, name="broken"))
    for index in range(2):
        make_pod(api_server, client.namespace, index)
    note(api_server, client.namespace, "Pod/broken-1-1", "Failing")
    steps = [
        {
            "step": "original",
            "outcome": "original",
            "metrics": {"accuracy": 0.91},
            "fileBytes": 4_400_000,
            "speedup": 1.0,
        },
        {"step": "1 prune", "outcome": "undone", "metrics": {"accuracy": 0.7}, "reasons": ["accuracy fell by 0.21"]},
    ]
    results = {"metrics": {"accuracy": 0.91}, "compression": steps}
    state = {"phase": "Failed", "conditions": [condition("Failed", message="given up")], "results": results}
    write_status(api_server, client.namespace, "broken", **state, progress=PROGRESS, failure=FAILURE, attempt=3)
    async with browsing(tmp_path / "profile", look[0], dark=look[1]) as page:
        await page.open(f"{address}/#/{client.namespace}/broken")
        await page.until("document.querySelector('#pods')?.innerText.includes('node-b')")
        await page.until("document.querySelector('#story')?.innerText.includes('failed for good')")
        text = await page.value("document.querySelector('#job').innerText")
        for told in (
            "66% train",
            "2 of 3",
            "compute 70%",
            "rank 1 raised ValueError",
            "Failing happened",
            "4.20 MiB",
            "accuracy fell by 0.21",
        ):
            assert told in text
        assert HOSTILE in text, "what jobs say is text"
        assert await page.value("document.querySelectorAll('img').length") == 0
        assert await page.value("document.querySelector('polyline').getAttribute('points').split(' ').length") == 12
        assert await page.value("document.documentElement.scrollWidth <= innerWidth")
        await kept(page, f"job-{look[0]}")
        assert page.errors == []


@needs_browser
async def test_a_jobs_page_follows_it(client: Client, api_server: ApiServer, address: str, page: Page) -> None:
    client.submit(job())
    await page.open(f"{address}/#/{client.namespace}/a")
    await page.until("document.querySelector('#story')?.innerText.includes('No operator')")
    write_status(api_server, client.namespace, phase="Running", progress=PROGRESS)
    assert await page.until("document.querySelector('#object')?.innerText.includes('5,321')") < 2
    await page.until("document.querySelector('#story')?.innerText.includes('The job trains')")
    assert page.errors == []


@needs_browser
async def test_the_page_is_used_by_keyboard_alone(client: Client, address: str, page: Page) -> None:
    client.submit(job())
    await page.open(address)
    await page.until("document.querySelectorAll('#rows tr').length === 1")
    seen = []
    for _ in range(3):
        await page.press("Tab", 9)
        seen.append(await page.value("document.activeElement.id || document.activeElement.textContent"))
    assert seen == ["dltrain", "filter", "a"]
    await page.press("Enter", 13)
    await page.until("!document.querySelector('#job').hidden")
    assert await page.value("document.title") == f"{client.namespace}/a - dltrain"
    assert await page.value(
        "document.documentElement.lang"
        " && [...document.querySelectorAll('input')].every((each) => each.closest('label'))"
    )


@needs_browser
async def test_the_filter_leaves_what_matches(client: Client, address: str, page: Page) -> None:
    for name in ("alpha", "beta"):
        client.submit(job(name=name))
    await page.open(address)
    await page.until("document.querySelectorAll('#rows tr').length === 2")
    await page.value(
        "(() => { const filter = document.querySelector('#filter'); filter.value = 'ALPH';"
        " filter.dispatchEvent(new Event('input')); })()"
    )
    assert await page.value("[...document.querySelectorAll('#rows tr:not([hidden]) a')].map((a) => a.textContent)") == [
        "alpha"
    ]


@needs_browser
async def test_a_thousand_jobs_are_listed_within_a_second(
    api_server: ApiServer, namespace: str, address: str, page: Page
) -> None:
    async with AsyncClient(namespace, kubeconfig=api_server.kubeconfig) as client:
        for start in range(0, 1000, 50):
            await asyncio.gather(*(client.submit(job(name=f"a{start + each}")) for each in range(50)))
    took = []
    for _ in range(6):  # the quickest counts: the others tell what else this machine does
        await page.open("about:blank")
        await page.open(address)
        await page.until("document.querySelectorAll('#rows tr').length === 1000")
        await page.until("performance.getEntriesByName('listed').length > 0")  # with the frame after the rows
        took.append(
            await page.value(
                "Math.max(...performance.getEntriesByType('mark').filter((each) => each.name === 'listed')"
                ".map((each) => each.startTime))"
            )
        )
    assert min(took) < 1000
    assert page.errors == []


async def answer_of(address: str, host: str = "127.0.0.1", method: str = "GET") -> tuple[int, str]:
    """A page's status and text, asked under some name."""
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, address, headers={"Host": host}) as answer,
    ):
        return answer.status, await answer.text()


async def test_other_names_other_methods_and_other_files_are_refused(address: str) -> None:
    assert (await answer_of(address))[0] == 200
    assert (await answer_of(address, "evil.example:80"))[0] == 403
    assert (await answer_of(f"{address}/api/jobs/x/y", method="DELETE"))[0] == 405
    assert (await answer_of(f"{address}/static/..%2fserver.py"))[0] in {403, 404}


async def test_what_may_not_be_seen_is_told_with_its_reason(address: str, namespace: str) -> None:
    code, text = await answer_of(f"{address}/api/jobs/{namespace}/none")
    assert (code, "not found" in text) == (404, True)


@pytest.fixture
def in_cluster(api_server: ApiServer, tmp_path: Path) -> Iterator[Path]:
    """A kubeconfig of the account that manifests/web-page.yaml makes, with its rights."""
    objects = list(yaml.safe_load_all((ROOT / "manifests" / "web-page.yaml").read_text()))
    made = [("/api/v1/namespaces", {"metadata": {"name": "dltrain-system"}})]
    made += [(PATHS[each["kind"]], each) for each in objects]
    for path, body in made:
        api_server.request("POST", path, body)
    account = f"{PATHS['ServiceAccount']}/dltrain-web-page/token"
    token = api_server.request("POST", account, {"spec": {"expirationSeconds": 3600}})["status"]["token"]
    content = yaml.safe_load(api_server.kubeconfig.read_text())
    content["users"][0]["user"] = {"token": token}
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(content))
    yield file
    for path, body in reversed(made[1:]):
        api_server.request("DELETE", f"{path}/{body['metadata']['name']}")


async def test_in_the_cluster_it_has_the_rights_that_it_needs_and_no_others(
    client: Client, in_cluster: Path, api_server: ApiServer
) -> None:
    client.submit(job())
    async with AsyncClient(client.namespace, kubeconfig=in_cluster) as own:
        assert [each.name for each in await own.list(everywhere=True) if each.namespace == client.namespace] == ["a"]
        assert await anext(own.watch(everywhere=True))
        assert [await own.pods("a"), await own.events("a"), [line async for line in own.logs("a")]] == [[], [], []]
        with pytest.raises(ClusterError, match="forbidden"):
            await own.suspend("a")
        with pytest.raises(ClusterError, match="forbidden"):
            await own._connection.send(Request("GET", f"/api/v1/namespaces/{client.namespace}/secrets"))


@pytest.fixture
def served(api_server: ApiServer, namespace: str) -> Iterator[Any]:
    """`dltrain ui`, as a process; its address."""
    command = [sys.executable, "-m", "dltrain", "ui", "--port", "0", "--kubeconfig", str(api_server.kubeconfig)]
    process = subprocess.Popen([*command, "-n", namespace], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process:
        yield process, process.stdout.readline().split()[-1]
        process.kill()


async def test_the_command_serves_it_until_it_is_interrupted(served: Any) -> None:
    process, address = served
    assert address.startswith("http://127.0.0.1:")
    assert "<title>dltrain</title>" in (await answer_of(address))[1]
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
