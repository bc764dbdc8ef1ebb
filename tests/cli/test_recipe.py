import pytest

from opnet.cli.recipe import read_recipe
from opnet.core.errors import RecipeError

GOOD = """
name = "tiny"
seed = 3
[data]
problem = "darcy"
n_train = 8
n_test = 2
train_resolution = 16
resolutions = [16, 32]
a_high = 12.0
[model]
class = "FNO"
modes = [4, 4]
[training]
epochs = 2
[evaluation]
metrics = ["RelativeL2"]
"""


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "recipe.toml"
        path.write_text(text)
        return path

    return write


def test_a_recipe_is_read_with_its_defaults(write):
    recipe = read_recipe(write(GOOD))
    assert recipe.data.arguments == {"a_high": 12.0}
    assert recipe.model.model_class == "FNO"
    assert recipe.resolved["data"]["dtype"] == "float32"


def test_the_digest_is_of_what_determines_results(write):
    base = read_recipe(write(GOOD)).digest
    assert read_recipe(write(GOOD.replace('"tiny"', '"other"'))).digest == base
    assert read_recipe(write(GOOD), ["data.path=elsewhere"]).digest == base
    assert read_recipe(write(GOOD), ["training.epochs=3"]).digest != base
    assert read_recipe(write(GOOD), ["data.dtype=float32"]).digest == base


def test_a_resolved_recipe_is_a_recipe_with_the_same_digest(write):
    import tomli_w

    recipe = read_recipe(write(GOOD))
    assert read_recipe(write(tomli_w.dumps(recipe.resolved))).digest == recipe.digest


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("n_train = 8", "n_train = 0", r"recipe.toml: \[data\] n_train: expected greater than or equal to 1, found 0"),
        ("n_train = 8", 'n_train = "8"', r"\[data\] n_train: expected an integer, found '8'"),
        (
            "[evaluation]",
            "[evaluaton]",
            r"evaluaton: unknown key \(did you mean 'evaluation'\?\); expected one of name",
        ),
        ("metrics", "metric", r"\[evaluation\] metric: unknown key \(did you mean 'metrics'\?\)"),
        ("seed = 3", "seed = -1", "seed: expected greater than or equal to 0, found -1"),
        ('class = "FNO"', "", r"\[model\] class: expected a value, found none"),
        ('"tiny"', '"../tiny"', "name: expected"),
        ("[data]", "[data", "expected TOML, found"),
        ('metrics = ["RelativeL2"]', 'metrics = "RelativeL2"', r"\[evaluation\] metrics: expected a list"),
    ],
)
def test_what_is_wrong_is_named(write, old, new, message):
    assert old in GOOD
    with pytest.raises(RecipeError, match=message):
        read_recipe(write(GOOD.replace(old, new)))


def test_a_missing_recipe_names_those_beside_it(write):
    path = write(GOOD)
    with pytest.raises(
        RecipeError, match=r"quick.toml: expected a recipe, found no such file; there are .*recipe.toml"
    ):
        read_recipe(path.with_name("quick.toml"))


@pytest.mark.parametrize("setting", ["epochs", "=3", "name.x=3"])
def test_settings_that_set_nothing_are_refused(write, setting):
    with pytest.raises(RecipeError, match="--set"):
        read_recipe(write(GOOD), [setting])
