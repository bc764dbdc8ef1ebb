import pytest
from foreign_files import write_sums

from opnet.core.errors import DataError
from opnet.data.formats.foreign_file import CHECKSUMS, ForeignFile, candidates, choose_file, vouch


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "below").mkdir()
    for name in ("a.mat", "b.mat", "below/c.npy"):
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def test_sums_vouch_for_files_by_relative_path(folder):
    paths = [folder / "a.mat", folder / "below/c.npy"]
    loose = vouch(folder, paths)
    assert set(loose.sha256) == {"a.mat", "below/c.npy"}
    assert "SHA256SUMS beside them" in loose.notes[0]
    write_sums(folder)
    assert vouch(folder, paths).notes == ()
    (folder / "a.mat").write_bytes(b"b.mat")
    with pytest.raises(DataError, match=r"a\.mat: expected sha256 [0-9a-f]{64}, as SHA256SUMS says, found"):
        vouch(folder, paths)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("a.mat", "A.mat"), "SHA256SUMS: expected a line for a.mat"),
        (lambda text: text.upper(), "SHA256SUMS: line 1: expected 64 hex digits"),
        (lambda text: text[:-1], "the last one ended"),
        (lambda text: text + text, "line 4: expected 64 hex digits and a new path"),
        (lambda text: "", "the last one ended"),
        (lambda text: text.replace("  ", " "), "line 1: expected 64 hex digits"),
    ],
)
def test_a_list_of_another_form_is_refused(folder, change, message):
    write_sums(folder)
    (folder / CHECKSUMS).write_text(change((folder / CHECKSUMS).read_text()))
    with pytest.raises(DataError, match=message):
        vouch(folder, [folder / "a.mat"])


def test_a_change_after_hashing_is_noticed(folder):
    file = ForeignFile.hashed(folder / "a.mat")
    file.check()
    (folder / "a.mat").write_bytes(b"longer than before")
    with pytest.raises(DataError, match=r"a\.mat: expected the file that was opened, found it changed"):
        file.check()
    (folder / "a.mat").unlink()
    with pytest.raises(DataError, match=r"a\.mat: expected a regular file, found No such file"):
        file.check()


def test_one_file_is_chosen_by_name_or_by_being_the_only_one(folder):
    assert [path.name for path in candidates(folder, (".mat",))] == ["a.mat", "b.mat"]
    assert choose_file(folder, "b.mat", (".mat",), "file") == folder / "b.mat"
    assert choose_file(folder / "a.mat", None, (".mat",), "file") == folder / "a.mat"
    with pytest.raises(DataError, match=r"found a\.mat, b\.mat; choose by file=\.\.\."):
        choose_file(folder, None, (".mat",), "file")
    with pytest.raises(DataError, match="found none"):
        choose_file(folder, None, (".npz",), "file")
    with pytest.raises(ValueError, match=r"file: expected the name of a file in the folder, found '\.\./a\.mat'"):
        choose_file(folder, "../a.mat", (".mat",), "file")
