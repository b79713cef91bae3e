"""Every driver of ours does send, and everything that a run needs is there."""

from __future__ import annotations

import importlib.metadata
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from benchmarks import ROOT, bulk, profiling, waiting
from benchmarks.authority import issued
from benchmarks.cases import CASES, OURS, PEERS, Case
from benchmarks.plot import Bar, drawn
from benchmarks.programs import PROGRAMS, distributions
from benchmarks.server import delayed
from benchmarks.stage import STRANGERS, Stage, request
from benchmarks.trials import TRIALS
from benchmarks.turn import taken

FOLDER = ROOT / "benchmarks"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Our own server in the place of all."""
    folder = tmp_path_factory.mktemp("stage")
    with delayed(issued(folder).certificate, 0) as server:
        yield Stage(
            quick=server, delayed=server, environment={}, request=request(), strangers=folder
        )


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if case.environment == OURS and case.place in ("plain", "nowhere")],
    ids=lambda case: case.key,
)
def test_our_drivers_send(stage: Stage, case: Case) -> None:
    """A change of Qasid that breaks the benchmark is seen with the change."""
    job = stage.job(attrs.evolve(case, workers=min(case.workers, 2)), 0.01)
    outcome = taken(job)
    assert outcome.sends > 0
    assert outcome.memory > 1


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_waiting_is_measured(kind: str) -> None:
    """With a hundred numbers, each of which is looked at fifty times a second."""
    found = waiting.looking(kind, 100, 0.1)
    assert {"scheduling", "lateness"} == found.keys()
    assert found["lateness"] > 0
    assert waiting.memory(kind, 100) > 0


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_bulk_is_measured(stage: Stage, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the account that the environment names."""
    monkeypatch.setenv("QASID_DEFTSMS_USERNAME", "acme")
    monkeypatch.setenv("QASID_DEFTSMS_SECRET_KEY", "k" * 40)
    monkeypatch.setenv("QASID_DEFTSMS_BASE_URL", f"{stage.quick.plain}/deftsms")
    found = bulk.figures(kind, 200)
    assert 200 == found["size"]
    assert found["memory"] > max(1, found["growth"])


def test_a_profile_has_ten_lines() -> None:
    """Of all threads of the process together, however it ends."""
    code = (
        "import threading; t = threading.Thread(target=sorted, args=[[2, 1]]); t.start(); exit(0)"
    )
    head, *lines = profiling.top_ten((sys.executable, "-c", code), {}, warm=False).splitlines()
    assert head.split()[:2] == ["ncalls", "tottime"]
    assert 10 == len(lines)


def test_a_profile_tells_no_folder_of_this_machine() -> None:
    """It may be published."""
    installed = "/home/me/.venv/lib/python3.11/site-packages/qasid/line.py:1(ask)"
    own, ours = "/usr/lib/python3.11/json/encoder.py:2(encode)", f"{ROOT}/benchmarks/job.py:3(read)"
    assert [
        "1 qasid/line.py:1(ask)",
        "2 json/encoder.py:2(encode)",
        "3 benchmarks/job.py:3(read)",
    ] == profiling.placeless(f"1 {installed}\n2 {own}\n3 {ours}").splitlines()


def test_a_profile_of_what_fails_is_an_error() -> None:
    """It would be one of something else."""
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        profiling.top_ten((sys.executable, "-c", "1 / 0"), {}, warm=False)


def test_ten_thousand_texts_go_by_the_hundred(stage: Stage) -> None:
    """A hundred requests each time, also of the three times before; and one is the question."""
    case = next(case for case in CASES if case.driver == "qasid_many")
    before = stage.quick.requests()
    outcome = taken(stage.job(attrs.evolve(case, place="plain"), 0.001))
    assert (10_000, 100 * (outcome.sends + 3) + 1) == (
        outcome.messages,
        stage.quick.requests() - before,
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.key)
def test_each_case_has_its_module(case: Case) -> None:
    """Of a peer, which is not installed here, it cannot be run."""
    assert FOLDER.joinpath(*case.module.split(".")).with_suffix(".py").exists()


@pytest.mark.parametrize("peer", PEERS)
def test_each_peer_is_pinned(peer: str) -> None:
    """It and all that it needs, to the last part of the version."""
    _, *lines = FOLDER.joinpath("peers", f"{peer}.txt").read_text().splitlines()
    assert any(line.startswith(f"{peer}==") for line in lines)
    assert all("==" in line for line in lines)


def test_keys_are_no_ones_twice() -> None:
    """Outcomes are kept by them."""
    keys = [case.key for case in CASES] + [program.key for program in PROGRAMS]
    keys += [trial.key for trial in TRIALS]
    assert len({*keys}) == len(keys)


def test_strangers_are_installed_distributions(tmp_path: Path) -> None:
    """As importlib sees them."""
    folder = distributions(tmp_path / "strangers", STRANGERS)
    found = list(importlib.metadata.distributions(path=[str(folder)]))
    assert STRANGERS == len(found)
    assert all(each.version and each.entry_points for each in found)


def test_the_plot_names_everybody() -> None:
    """And is XML, whatever the names are."""
    bars = [Bar("ours", 30.0, "qasid"), Bar("<theirs>", 20_000.0, "peer")]
    texts = {element.text for element in ET.fromstring(drawn("CPU", bars)).iter()}
    assert {"CPU", "ours", "<theirs>", "20,000", "10 µs", "100,000 µs"} <= texts
