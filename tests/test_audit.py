"""What may stand nowhere in the package: ways for a file to run code, and places that no reader can go to."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "opnet").rglob("*.py"))
RUNS_CODE = {"eval", "exec", "compile", "__import__"}
UNPICKLERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml", "importlib"}
HARMLESS = {"importlib.metadata"}
UNSAFE_KEYWORDS = {("weights_only", False), ("allow_pickle", True), ("shell", True)}
# Paths and hosts of one machine, web pages that are not the public ones cited, and marks of unfinished work.
FOREIGN = re.compile(
    r"/(?:home|root|tmp|work|Users|mnt|scratch)/\w|\blocalhost\b|\b\d{1,3}(?:\.\d{1,3}){3}\b|\.internal\b"
    r"|https?://(?!(?:github\.com|arxiv\.org|doi\.org|pypi\.org|docs\.pytorch\.org)/)|\b(?:TODO|FIXME|XXX)\b"
)


def offences(source):
    """What in Python source text may run code that a file brings along."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            imported = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imported = [node.module or ""]
        else:
            imported = []
        found += [f"import {m}" for m in imported if m.split(".")[0] in UNPICKLERS and m not in HARMLESS]
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id in RUNS_CODE:
                found.append(node.func.id)
            keywords = {k.arg: k.value for k in node.keywords}
            for name, value in keywords.items():
                if isinstance(value, ast.Constant) and (name, value.value) in UNSAFE_KEYWORDS:
                    found.append(f"{name}={value.value}")
            called = ast.unparse(node.func)
            safely = keywords.get("weights_only")
            if called == "torch.load" and not (isinstance(safely, ast.Constant) and safely.value is True):
                found.append("torch.load without weights_only=True")
            if called in ("os.system", "os.popen", "torch.jit.load", "torch.hub.load"):
                found.append(called)
    return found


def test_nothing_in_the_package_lets_a_file_run_code():
    assert len(SOURCES) > 100
    found = {str(path.relative_to(ROOT)): offences(path.read_text()) for path in SOURCES}
    assert {path: what for path, what in found.items() if what} == {}


@pytest.mark.parametrize(
    "source",
    [
        "torch.load(f, weights_only=False)",
        "torch.load(f)",
        "np.load(f, allow_pickle=True)",
        "import yaml",
        "from yaml import load",
        "import pickle as p",
        "from importlib import import_module",
        "eval(text)",
        "exec(text)",
        "__import__(name)",
        "subprocess.run(text, shell=True)",
        "os.system(text)",
    ],
)
def test_the_audit_sees(source):
    assert offences(source)


def test_the_audit_passes_what_is_harmless():
    assert offences("torch.load(f, weights_only=True)\nmodel.eval()\nfrom importlib.metadata import version") == []


def test_torch_is_new_enough_to_unpickle_weights_alone():
    """Older ones could be made to run code by weights_only=True all the same (CVE-2025-32434, CVE-2026-24747)."""
    least = re.search(r'"torch>=(\d+)\.(\d+)', (ROOT / "pyproject.toml").read_text())
    assert (int(least[1]), int(least[2])) >= (2, 10)


def test_no_text_names_a_machine_or_is_unfinished():
    texts = [*SOURCES, *sorted((ROOT / "datasets").rglob("*.toml")), *sorted(ROOT.glob("*.md"))]
    texts += sorted((ROOT / "datasets").rglob("*.md"))
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in texts
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if FOREIGN.search(line)
    ]
    assert found == []
