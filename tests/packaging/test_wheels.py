"""What is published: the wheel and the sdist, what is in them, and that they install with and without a compiler."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from quivo_frames.flattening.core_choice import compiled_core
from tests.support.paths import ROOT

UV = shutil.which(ROOT / ".uv" / "bin" / "uv") or shutil.which("uv")
MAX_WHEEL_BYTES = 1_000_000
MAX_LIBRARY_BYTES = 400_000
PYTHON = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
COMPILERS = re.compile(r"(.*-)?(gcc|g\+\+|cc|c\+\+|cpp|clang|clang\+\+|c99|c89)(-[\d.]+)?")
SYSTEM_LIBRARIES = {"libc.so.6", "libgcc_s.so.1", "libm.so.6", "libstdc++.so.6"}

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(UV is None, reason="There is no uv"),
    pytest.mark.skipif(sys.platform != "linux", reason="as on Linux"),
]


def run(*words: str | Path, cwd: Path = ROOT, **env: str) -> str:
    """What a command prints, which must end well and show no traceback."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("QUIVO_", "UV_", "PYTHON"))}
    done = subprocess.run(words, cwd=cwd, env=kept | env, capture_output=True, text=True, encoding="utf-8")
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="session")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    run(UV, "build", "--sdist", "--out-dir", folder, ".")
    return next(folder.glob("*.tar.gz"))


@pytest.fixture(scope="session")
def wheel(sdist: Path) -> Path:
    """The wheel that is built from the sdist."""
    if compiled_core() is None:
        pytest.skip("There is no compiled core here, so presumably no compiler")
    run(UV, "build", "--wheel", "--out-dir", sdist.parent, sdist, QUIVO_FRAMES_CORE="compiled")
    return next(sdist.parent.glob("*.whl"))


@pytest.fixture(scope="session")
def no_compilers(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH on which there is everything but a compiler, and shims, which find programs that are not on it."""
    folder = tmp_path_factory.mktemp("no_compilers")
    for place in os.environ["PATH"].split(":"):
        for file in Path(place).glob("*"):
            if "shims" not in place and not COMPILERS.fullmatch(file.name) and not os.path.lexists(folder / file.name):
                (folder / file.name).symlink_to(file)
    assert not any(shutil.which(name, path=str(folder)) for name in ("gcc", "g++", "cc", "c++", "clang"))
    return str(folder)


def read_wheel(file: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(file) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def test_the_wheel_holds_the_package_and_one_library(wheel: Path) -> None:
    assert re.fullmatch(r"quivo_frames-[\w.]+-cp311-abi3-linux_\w+\.whl", wheel.name)
    assert wheel.stat().st_size < MAX_WHEEL_BYTES
    content = read_wheel(wheel)
    modules = {str(file.relative_to(ROOT)) for file in (ROOT / "quivo_frames").rglob("*.py")}
    assert {name for name in content if name.endswith(".py")} == modules
    assert {Path(name).suffix for name in content if "dist-info" not in name} == {
        ".py", ".so", ".typed", ".css", ".html", ".js", ".toml", ".unicode",
    }  # fmt: skip
    others = (ROOT / "quivo_frames").rglob("*")
    needed = {
        str(file.relative_to(ROOT))
        for file in others
        if file.suffix in {".typed", ".css", ".html", ".js", ".toml", ".unicode"}
    }
    assert "quivo_frames/py.typed" in needed
    assert {name for name in content if "dist-info" not in name and not name.endswith((".py", ".so"))} == needed
    assert [name for name in content if name.endswith(".so")] == ["quivo_frames/_core.abi3.so"]
    assert len(content["quivo_frames/_core.abi3.so"]) < MAX_LIBRARY_BYTES
    [about] = (text.decode() for name, text in content.items() if name.endswith("dist-info/WHEEL"))
    assert "Root-Is-Purelib: false" in about
    assert f"Tag: {wheel.stem.split('-', 2)[2]}" in about


def test_the_sdist_holds_all_that_the_same_wheel_needs(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as opened:
        names = {name.split("/", 1)[1] for name in opened.getnames()}
    needed = [
        *(ROOT / "quivo_frames").rglob("*.py"),
        *(ROOT / "quivo_frames").rglob("*.[ch]pp"),
        ROOT / "hatch_build.py",
    ]
    assert {str(file.relative_to(ROOT)) for file in needed} <= names
    assert not [name for name in names if name.endswith((".so", ".pyd", ".pyc", ".o"))]
    assert {name.split("/")[0] for name in names} == {
        "quivo_frames", "docs", "schemas", "tests", "notebooks", "data", "hatch_build.py", "pyproject.toml", "PKG-INFO",
        ".gitignore", "CITATION.cff", "LICENSE", *(file.name for file in ROOT.glob("*.md")),
    }  # fmt: skip
    run(UV, "build", "--wheel", "--out-dir", tmp_path, ".", QUIVO_FRAMES_CORE="compiled")
    [of_checkout] = tmp_path.glob("*.whl")
    assert of_checkout.name == wheel.name
    assert read_wheel(of_checkout) == read_wheel(wheel)


def test_the_library_needs_nothing_but_python_and_what_every_linux_has(wheel: Path) -> None:
    shown = run(sys.executable, "-m", "auditwheel", "show", wheel)
    assert re.search(r'platform\s+tag:\s+"manylinux_2_\d+_\w+"', shown), shown
    assert set(re.findall(r"lib[\w+-]+\.so[.\d]*", shown)) <= SYSTEM_LIBRARIES
    run(sys.executable, "-m", "abi3audit", "--strict", wheel)


def test_no_name_leaves_the_library_but_the_one_that_python_calls(wheel: Path, tmp_path: Path) -> None:
    from elftools.elf.elffile import ELFFile

    (tmp_path / "core.so").write_bytes(read_wheel(wheel)["quivo_frames/_core.abi3.so"])
    with (tmp_path / "core.so").open("rb") as opened:
        symbols = ELFFile(opened).get_section_by_name(".dynsym").iter_symbols()
        ours = {
            symbol.name for symbol in symbols
            if symbol["st_shndx"] != "SHN_UNDEF" and symbol["st_info"]["bind"] == "STB_GLOBAL"
        }  # fmt: skip
    assert ours == {"PyInit__core"}


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[Path]:
    """An empty environment, without pip."""
    run(UV, "venv", "--quiet", "--python", PYTHON, tmp_path / "venv")
    yield tmp_path / "venv"
    shutil.rmtree(tmp_path / "venv")


@pytest.mark.parametrize("what", ["wheel", "sdist"])
def test_both_cores_of_an_installation_make_the_same_tables(
    what: str, sdist: Path, wheel: Path, environment: Path
) -> None:
    python = environment / "bin" / "python"
    run(
        UV,
        "pip",
        "install",
        "--quiet",
        "--python",
        python,
        "--refresh-package",
        "quivo-frames",
        {"wheel": wheel, "sdist": sdist}[what],
    )
    printed = run(python, ROOT / "tests" / "packaging" / "both_cores.py", cwd=environment)
    assert "files are the same from both cores" in printed


def test_an_sdist_installs_without_a_compiler_and_says_so(sdist: Path, environment: Path, no_compilers: str) -> None:
    hidden, python = {"PATH": no_compilers, "CC": "no-compiler", "CXX": "no-compiler"}, environment / "bin" / "python"
    run(UV, "pip", "install", "--quiet", "--python", python, "--refresh-package", "quivo-frames", sdist, **hidden)
    program = environment / "bin" / "quivo-frames"
    printed = run(program, "--version", "-v", cwd=environment)
    assert re.search(
        r"^core python, .*: install a wheel of quivo-frames, or .* C\+\+ compiler$", printed, re.MULTILINE
    ), printed
    checked = subprocess.run([program, "doctor"], cwd=environment, env={}, capture_output=True, text=True)
    assert "ok      core: python, which makes the same tables in about twice the time: " in checked.stdout
    code = "from pathlib import Path; from quivo_frames.standin.orders import write_ndjson; write_ndjson(Path('o.ndjson'), 1)"
    run(python, "-c", code, cwd=environment)
    assert "1 order in, 1 in the tables" in run(program, "build", "o.ndjson", "--out", "tables", cwd=environment)
    assert '"core": "python"' in (environment / "tables" / "manifest.json").read_text(encoding="utf-8")


def test_where_the_compiled_core_is_asked_for_a_missing_compiler_is_an_error(
    sdist: Path, tmp_path: Path, no_compilers: str
) -> None:
    hidden = {"PATH": no_compilers, "CC": "no-compiler", "CXX": "no-compiler", "QUIVO_FRAMES_CORE": "compiled"}
    done = subprocess.run(
        [UV, "build", "--wheel", "--out-dir", tmp_path, sdist], env=os.environ | hidden, capture_output=True, text=True
    )
    assert (done.returncode, "no-compiler" in done.stderr, [*tmp_path.glob("*.whl")]) == (2, True, [])


def copy_checkout(folder: Path) -> None:
    """The files of the checkout, as they are now."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")
@pytest.mark.timeout(900)
def test_a_build_elsewhere_at_another_time_has_the_same_bytes(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    """In a folder of another name, with files of another age that nobody else may read, far in the east."""
    copy_checkout(tmp_path / "elsewhere")
    for file in (tmp_path / "elsewhere").rglob("*.*"):
        os.utime(file, (1_700_000_000,) * 2)
        file.chmod(0o700 if file.is_dir() else 0o600)
    (tmp_path / "temporary").mkdir()
    env = {"TZ": "Asia/Tokyo", "TMPDIR": str(tmp_path / "temporary"), "QUIVO_FRAMES_CORE": "compiled"}
    run(UV, "build", "--out-dir", tmp_path / "dist", ".", cwd=tmp_path / "elsewhere", **env)
    for file in (sdist, wheel):
        assert (tmp_path / "dist" / file.name).read_bytes() == file.read_bytes(), file.name


def test_pip_leaves_compiled_modules(sdist: Path, tmp_path: Path) -> None:
    """As the README installs, but without what quivo_frames needs."""
    run(PYTHON, "-m", "venv", tmp_path)
    words = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", sdist]
    run(tmp_path / "bin" / "python", *words, PYTHONDONTWRITEBYTECODE="1")
    package = Path(sysconfig.get_path("purelib", vars={"base": str(tmp_path)}), "quivo_frames")
    assert [*package.rglob("*.py")]
    assert not [file for file in package.rglob("*.py") if not has_compiled_module(file)]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")
@pytest.mark.parametrize(
    "compiler",
    [
        pytest.param(
            True, id="with a compiler", marks=pytest.mark.skipif(compiled_core() is None, reason="no compiler?")
        ),
        pytest.param(False, id="without a compiler"),
    ],
)
def test_make_demo_leaves_compiled_modules_and_says_which_core(
    compiler: bool, tmp_path: Path, no_compilers: str
) -> None:
    """As it is in a fresh checkout; it installs nothing of the system, and tables and report are there either way."""
    copy_checkout(tmp_path)
    hidden = {} if compiler else {"PATH": no_compilers, "CC": "no-compiler", "CXX": "no-compiler"}
    run("make", "demo", f"PYTHON={PYTHON}", cwd=tmp_path, PYTHONDONTWRITEBYTECODE="1", **hidden)
    core = "compiled" if compiler else "python"
    assert f'"core": "{core}"' in (tmp_path / "data" / "demo" / "tables" / "manifest.json").read_text(encoding="utf-8")
    assert (tmp_path / "data" / "demo" / "report.html").exists()
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(tmp_path / ".venv")}))
    for folder in (tmp_path / "quivo_frames", packages / "polars", packages / "pandera"):
        without = [file for file in folder.rglob("*.py") if not has_compiled_module(file)]
        assert not without, without


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")
def test_only_development_installs_a_compiler_and_only_where_it_may(tmp_path: Path, no_compilers: str) -> None:
    """With an apt-get that only writes down what it is asked for."""
    copy_checkout(tmp_path)
    for name, text in {"apt-get": f'echo "$@" >> {tmp_path}/asked', ".uv/bin/python": "", ".uv/bin/uv": ""}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    hidden = {"PATH": f"{tmp_path}:{no_compilers}", "CXX": "no-compiler"}
    assert "apt-get" not in run("make", "--dry-run", "demo", cwd=tmp_path, **hidden)
    run("make", ".uv/.compiler", cwd=tmp_path, **hidden)
    asked = (tmp_path / "asked").read_text().splitlines() if (tmp_path / "asked").exists() else []
    assert asked == (["update -qq", "install -qq --no-install-recommends g++"] if os.getuid() == 0 else [])
    (tmp_path / ".uv" / ".compiler").unlink()
    (tmp_path / "asked").unlink(missing_ok=True)
    run("make", ".uv/.compiler", cwd=tmp_path, PATH=f"{tmp_path}:{no_compilers}", CXX="true")
    assert not (tmp_path / "asked").exists()


def has_compiled_module(file: Path) -> bool:
    return bool([*(file.parent / "__pycache__").glob(f"{file.stem}.{sys.implementation.cache_tag}.pyc")])
