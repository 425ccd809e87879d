"""What the tests of several processes, which run at one time, do not take from each other."""

from __future__ import annotations

import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path

from tests.apiserver import free_port
from tests.controller.cluster import Space

ROOT = Path(__file__).parents[2]
GIVEN_AWAY = Path("/proc/sys/net/ipv4/ip_local_port_range")


def test_stand_ins_of_another_process_have_other_addresses() -> None:
    code = "from tests.controller.cluster import Space; print(*(Space(None, 'a').address for _ in range(100)))"
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    others, own = told.stdout.split(), [Space(None, "a").address for _ in range(100)]  # type: ignore[arg-type]
    assert all(ip_address(address).is_loopback for address in (*others, *own))
    assert set(others).isdisjoint(own)


def test_a_free_port_is_given_to_nobody_else() -> None:
    first, last = map(int, GIVEN_AWAY.read_text().split())
    ports = [free_port() for _ in range(100)]
    assert len(set(ports)) == len(ports)
    assert [port for port in ports if first <= port <= last] == []
