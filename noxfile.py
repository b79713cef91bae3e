"""Every command that a person or CI runs: `nox -s demo`, `nox -s tests`, and `nox -l` for the rest.

What is tested is what would be published: `build` makes the distributions once in each run, and the
sessions that require it install the wheels. No session puts a `src` folder on Python's path.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Final

import nox

nox.needs_version = ">=2025.10.14"  # a session can require another
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False  # the session `interpreters` decides that
nox.options.sessions = ["tests", "lint", "types", "docs", "demo", "examples"]

WORKSPACE: Final = nox.project.load_toml("pyproject.toml")
PYTHONS: Final = nox.project.python_versions(nox.project.load_toml("core/pyproject.toml"))
# CI proves the oldest and the newest of them, in its time; `nox -s tests` each one that is here.
PROVEN: Final = PYTHONS[:: len(PYTHONS) - 1] if os.environ.get("CI") == "true" else PYTHONS
DIST: Final = Path("dist")
LICENSE: Final = Path("LICENSE")
REPORTS: Final = Path("docs/reports")
APPLICATIONS: Final = "examples/tests"
BROWSER: Final = "examples/tests/test_browser.py"
MUTANTS: Final = "contract_tests/tests/test_mutants.py"
# Over twice the processors, as many tests wait for a process or a socket; a contract refuses that.
SPREAD: Final = (f"--numprocesses={2 * (os.cpu_count() or 1)}",)
PYTHON_CODE: Final = (
    "core",
    "plugins",
    "contract_tests",
    "docs",
    "examples",
    "benchmarks",
    "conftest.py",
    "noxfile.py",
)
PEERS: Final = Path("benchmarks/peers")  # with the pins of their environments


# The interpreters.


def show_pyenv() -> None:
    """Put pyenv's supported interpreters at the end of PATH.

    What pyenv itself puts there is a folder of shims. It holds a `python3.12` as soon as any 3.12
    is installed, and that shim fails unless the version is enabled as well.
    """
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = [str(path) for v in PYTHONS for path in sorted(root.glob(f"versions/{v}.*/bin"))]
    os.environ["PATH"] = os.pathsep.join([os.environ["PATH"], *found])


show_pyenv()


def runs(version: str) -> bool:
    """Whether an interpreter of that version (`"3.12"`) is here and starts."""
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return True
    places = (Path(place) / f"python{version}" for place in os.get_exec_path())
    return any(_starts(place) for place in places if place.is_file())


def _starts(python: Path) -> bool:
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


@nox.session(python=False)
def interpreters(session: nox.Session) -> None:
    """Say which supported Pythons are missing. In CI the oldest and the newest must be here."""
    missing = [version for version in PYTHONS if not runs(version)]
    for version in missing:
        session.warn(f"Python {version} is supported and not found: it is not tested here")
    needed = {*PROVEN} if os.environ.get("CI") == "true" else set()
    if needed & set(missing) or missing == PYTHONS:
        session.error(f"install {' and '.join(sorted(needed) or PYTHONS[-1:])}")


# The distributions.


def packages() -> list[Path]:
    """The folders that hold one distribution each."""
    patterns = ("core", "contract_tests", "plugins/*")
    found = (path for pattern in patterns for path in Path().glob(f"{pattern}/pyproject.toml"))
    return sorted(path.parent for path in found)


def plugins() -> list[str]:
    """The names of our own plugins: the providers, and what listens to all of them."""
    return sorted(path.parent.name for path in Path("plugins").glob("*/pyproject.toml"))


def providers() -> list[str]:
    """The names of our own providers. A plugin says itself that it is one."""
    return [name for name in plugins() if "qasid.providers" in entry_points(name)]


def entry_points(name: str) -> set[str]:
    """The groups in which a plugin of ours has entry points."""
    project = nox.project.load_toml(f"plugins/{name}/pyproject.toml")["project"]
    return set(project.get("entry-points", ()))


def wheels(*names: str, extras: str = "") -> list[str]:
    """The built wheels, all or those of the import names given; the core's with `extras`."""
    built = {path.name.split("-")[0]: str(path) for path in sorted(DIST.glob("*.whl"))}
    chosen = {name: path for name, path in built.items() if name in (names or built)}
    return [path + extras if name == "qasid" else path for name, path in chosen.items()]


def group(name: str) -> tuple[str, ...]:
    """The requirements of one dependency group of the workspace."""
    return nox.project.dependency_groups(WORKSPACE, name)


def install(
    session: nox.Session, *requirements: str, extras: str = "[async,keyring,postgres,webhook]"
) -> None:
    """Install the requirements and every wheel."""
    session.install(*requirements, *wheels(extras=extras))
    # An environment that is used again may hold an older build of the same version.
    session.install("--force-reinstall", "--no-deps", *wheels())


def licence(archive: Path) -> bytes | None:
    """The licence's text in a wheel or sdist, or None where it has none."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            own = [name for name in wheel.namelist() if name.endswith("/licenses/LICENSE")]
            return wheel.read(own[0]) if own else None
    with tarfile.open(archive) as sdist:
        member = next((m for m in sdist if m.name.split("/")[1:] == ["LICENSE"]), None)
        file = member and sdist.extractfile(member)
        return file.read() if file else None


@nox.session
def build(session: nox.Session) -> None:
    """Build the sdist of each distribution, and from that the wheel, into dist/."""
    session.install(*group("build"))
    shutil.rmtree(DIST, ignore_errors=True)
    for package in packages():
        session.run("python", "-m", "build", "--no-isolation", "--outdir", str(DIST), str(package))
    for archive in DIST.iterdir():
        if licence(archive) != LICENSE.read_bytes():
            session.error(f"{archive.name} has no licence, or not that of the workspace")


# What is run with them.


@nox.session(python=PROVEN, requires=["interpreters", "build"])
def tests(session: nox.Session) -> None:
    """Run the tests on each supported Python that is here; the core's must cover it wholly.

    The mutants of the contract's rules take minutes: the session `contract` runs them, once.

    Arguments after `--` go to pytest, and coverage is then not asked for.
    """
    install(session, *group("tests"))
    if session.posargs:
        session.run("pytest", *session.posargs)
        return
    covered(session, "qasid", "core/tests")
    pages = ("docs", "README.md", "core/README.md", "contract_tests/README.md")
    contracts = [str(path) for path in sorted(Path("plugins").glob("*/tests/test_contract.py"))]
    alone = [f"--ignore={path}" for path in contracts]
    # By files, as the blocks of a page belong together; and contracts are not to be scattered.
    session.run("pytest", *SPREAD, "--dist=loadfile", "plugins", "benchmarks", *alone, *pages)
    session.run("pytest", *contracts)
    session.run("pytest", *SPREAD, "contract_tests/tests", f"--ignore={MUTANTS}")


@nox.session(requires=["build"])
def services(session: nox.Session) -> None:
    """Run the tests that need a server: the PostgreSQL at QASID_TEST_POSTGRES, else a local one.

    They make databases of their own there, and drop them.
    """
    install(session, *group("tests"))
    session.run("pytest", "-m", "services", "core/tests", *session.posargs)


def covered(session: nox.Session, package: str, tests: str) -> None:
    """Run tests that must cover a package wholly: every line, and every branch both ways."""
    folder = Path(session.create_tmp(), f"coverage-{package}").resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    measured = {"COVERAGE_FILE": str(folder / "data")}
    run = ("coverage", "run", f"--source={package}", "-m", "pytest", *SPREAD, tests)
    session.run(*run, env=measured)
    session.run("coverage", "combine", "--quiet", env=measured)
    session.run("coverage", "report", "--fail-under=100", env=measured)


@nox.session(requires=["build"])
def demo(session: nox.Session) -> None:
    """Run the demonstration: no account, no network."""
    names = [f"qasid_{name}" for name in providers()]
    session.install(*wheels("qasid", *names, extras="[async]"))
    session.run("python", "examples/demo.py", *session.posargs)


@nox.session(requires=["build"], reuse_venv=False)
@nox.parametrize("name", plugins(), ids=plugins())
def alone(session: nox.Session, name: str) -> None:
    """Install one plugin with the core and nothing else, and call it."""
    session.install(*wheels("qasid", f"qasid_{name}"))
    session.run("python", "examples/alone.py", name)


@nox.session(python=PYTHONS[-1], requires=["interpreters", "build"])
def contract(session: nox.Session) -> None:
    """Prove the rules by their mutants and, from their wheels, our providers by the rules.

    The suite's own tests, mutants and all, must cover it wholly. The reports in docs/ must be those
    of this run; with `-- --write` they are written there. It is the newest Python, as coverage on
    3.11 loses what a function does after an error was thrown into a flow below it.
    """
    install(session, *group("tests"))
    covered(session, "qasid_contract", "contract_tests/tests")
    stale = [name for name in providers() if not proven(session, name)]
    if stale:
        session.error(f"stale: {', '.join(stale)}; run: nox -s contract -- --write")


def proven(session: nox.Session, name: str) -> bool:
    """Run the contract; whether the report in docs/ is the same, which `--write` sees to."""
    fresh, kept = Path(session.create_tmp(), f"{name}.json"), REPORTS / f"{name}.json"
    session.run("qasid", "contract", name, "--report", str(fresh))
    if "--write" in session.posargs:
        REPORTS.mkdir(exist_ok=True)
        shutil.copy(fresh, kept)
    return kept.exists() and kept.read_bytes() == fresh.read_bytes()


@nox.session(requires=["build"])
def examples(session: nox.Session) -> None:
    """Run the example applications with the servers that they are meant for, and log in there."""
    session.install(*group("tests"), *group("examples"), *login_wheels(extras="[async,journal]"))
    session.install("--force-reinstall", "--no-deps", *login_wheels())
    session.run("pytest", APPLICATIONS, f"--ignore={BROWSER}", *session.posargs)


@nox.session(requires=["build"])
def browser(session: nox.Session) -> None:
    """Log in to the example applications with Chromium; fails where it or chromedriver is not."""
    wanted = (*group("tests"), *group("examples"), *group("browser"))
    session.install(*wanted, *login_wheels(extras="[async,journal]"))
    session.install("--force-reinstall", "--no-deps", *login_wheels())
    session.run("pytest", BROWSER, *session.posargs)


def login_wheels(extras: str = "") -> list[str]:
    """What the example applications need of ours."""
    return wheels("qasid", "qasid_sandbox", extras=extras)


@nox.session(requires=["build"])
def third_party(session: nox.Session) -> None:
    """Write a provider as a stranger would, and break it in seven ways: the contract finds each."""
    ours = wheels("qasid", "qasid_contract", extras="[async]")
    session.install(*group("build"), "pip>=23.1", *ours)
    session.install("--force-reinstall", "--no-deps", *wheels("qasid", "qasid_contract"))
    session.run("python", "examples/third_party.py", env={"PYTHONPATH": "docs"})


# How fast it is.


@nox.session(requires=["build"])
def bench(session: nox.Session) -> None:
    """Measure Qasid beside the bare libraries and its peers; write the report to docs/benchmarks.

    Each peer has an environment of its own, and so has Qasid: there is nothing in it but what a
    user installs. With `-- --quick` it takes less than two minutes and says little; its report is
    kept out of docs/.
    """
    environments, report = Path(session.create_tmp(), "environments"), Path("docs/benchmarks")
    if "--quick" in session.posargs:
        report = Path(session.create_tmp(), "quick")
    install(session, *group("bench"))
    ours = wheels("qasid", "qasid_sandbox", "qasid_deftsms", extras="[async]")
    environment(session, environments / "qasid", *ours)
    for pins in sorted(PEERS.glob("*.txt")):
        environment(session, environments / pins.stem, "--requirement", str(pins))
    places = ("--environments", str(environments), "--output", str(report))
    session.run("python", "-m", "benchmarks", "run", *places, *session.posargs)


def environment(session: nox.Session, folder: Path, *requirements: str) -> None:
    """Make a new environment of the session's Python that holds the requirements alone."""
    session.run("python", "-m", "venv", "--clear", "--without-pip", str(folder), silent=True)
    python = str(folder / "bin" / "python")
    if session.venv_backend == "uv":
        session.install("--python", python, *requirements)
    else:
        session.run_install("python", "-m", "pip", "--python", python, "install", *requirements)


@nox.session(python=PROVEN, requires=["interpreters", "build"])
def instructions(session: nox.Session) -> None:
    """Count the instructions of a send; more than 5 % above the baseline is an error.

    So it is if a send that is made 10 % slower does not get there. The baselines are in
    benchmarks/instructions.json; with `-- --write` they are renewed. Valgrind counts. Where it is
    not installed nothing is, which is an error in CI.
    """
    if shutil.which("valgrind") is None:
        refuse = session.error if os.environ.get("CI") == "true" else session.skip
        refuse("valgrind is not installed: the instructions of a send are not counted")
    session.install(*wheels("qasid", "qasid_sandbox", "qasid_deftsms"))
    session.install("--force-reinstall", "--no-deps", *wheels("qasid", "qasid_sandbox"))
    session.run("python", "-m", "benchmarks.instructions", *session.posargs)
    if not session.posargs:
        session.run("python", "-m", "benchmarks.instructions", "--alarm")


# How it is written.


@nox.session
def lint(session: nox.Session) -> None:
    """Look for faults of form, in the code and in the changelog's fragments."""
    session.install(*group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("towncrier", "build", "--draft", "--version", "next", silent=True)


@nox.session(requires=["build"])
def types(session: nox.Session) -> None:
    """Check the types of all Python code. The wheels bring the libraries; the sources are read."""
    install(session, *group("types"))
    sources = [str(path) for package in packages() for path in package.glob("src")]
    code = [path for path in PYTHON_CODE if Path(path).is_file() or any(Path(path).rglob("*.py"))]
    session.run(
        "mypy", *code, env={"MYPYPATH": os.pathsep.join([*sources, "docs", "contract_tests/tests"])}
    )


@nox.session(requires=["build"])
def docs(session: nox.Session) -> None:
    """Build the documentation into docs/_build/html; a warning is an error."""
    install(session, *group("docs"))
    session.run("sphinx-build", "-W", "-n", "-b", "html", "docs", "docs/_build/html")
