import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_importing_brings_no_heavy_or_optional_package_and_says_nothing():
    heavy = ["matplotlib", "pydantic", "typer", "rich", "torchdiffeq", "scipy.sparse", "numba", "pyamg", "h5py"]
    code = f"import sys, opnet; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_the_python_examples_of_the_readme_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "README.md").read_text()
    smaller = text.replace("n_train=100, n_test=20", "n_train=6, n_test=2").replace("epochs=10", "epochs=1")
    assert smaller != text
    examples = [part.split("```")[0] for part in smaller.split("```python\n")[1:]]
    assert len(examples) == 4
    for example in examples:
        exec(example, {})
    assert "RelativeL2" in capsys.readouterr().out


def test_every_room_says_what_belongs_there():
    rooms = [path for path in (ROOT / "opnet").rglob("__init__.py") if path.parent.name != "opnet"]
    assert len(rooms) > 10
    for room in rooms:
        assert room.read_text().startswith('"""'), room


def test_recipes_of_the_clone_are_valid(tmp_path):
    from opnet.cli.commands import open_job
    from opnet.cli.objects import data_recipe
    from opnet.cli.recipe import Recipe, read_data_recipe

    recipes = sorted((ROOT / "datasets").glob("*/*.toml"))
    assert {f"{r.parent.name}/{r.name}" for r in recipes} >= {
        "darcy/quick.toml", "darcy/neuraloperator16.toml", "graphon/quick.toml",
    }  # fmt: skip
    for path in recipes:
        recipe = read_data_recipe(path)
        if isinstance(recipe, Recipe):
            open_job(path, [], None, data=tmp_path if recipe.data.format else None)
        else:
            data_recipe(recipe, path)
