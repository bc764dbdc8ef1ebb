import os

import pytest
from fault_injection import die_at_call, run_in_fork

from opnet.core.errors import DataError
from opnet.data.durable import make_folder, open_regular, remove_temporaries, replace_file, sha256_of


def test_a_kill_at_any_call_leaves_the_old_file_or_the_new(tmp_path):
    path, old, new = tmp_path / "file", b"old" * 1000, b"new" * 2000
    seen = set()
    for number in range(1, 10):
        path.write_bytes(old)

        def work(report, number=number):
            die_at_call(number)
            replace_file(path, new)

        killed = run_in_fork(work).signal == 9
        assert path.read_bytes() in (old, new)
        seen.add((killed, path.read_bytes() == new))
        remove_temporaries(tmp_path)
        assert os.listdir(tmp_path) == ["file"]
    assert seen == {(True, False), (True, True), (False, True)}


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def full(descriptor, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left") as caught:
        replace_file(tmp_path / "file", b"content")
    assert caught.value.filename == str(tmp_path / "file")
    assert os.listdir(tmp_path) == []


def test_what_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError) as caught:  # noqa: PT011, each system says it in its own words
        replace_file(tmp_path / "file", b"content")
    assert caught.value.filename == str(tmp_path / "file")
    with pytest.raises(FileNotFoundError) as caught:
        replace_file(tmp_path / "absent/file", b"content")
    assert caught.value.filename == str(tmp_path / "absent/file")


def test_short_writes_are_continued(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, content: write(descriptor, content[:7]))
    replace_file(tmp_path / "file", b"0123456789" * 3)
    assert (tmp_path / "file").read_bytes() == b"0123456789" * 3


def test_only_regular_files_are_opened(tmp_path):
    (tmp_path / "target").write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    os.mkfifo(tmp_path / "pipe")
    make_folder(tmp_path / "a" / "b")
    for name in ("link", "pipe", "a", "absent"):
        with pytest.raises(DataError, match=f"{name}: expected a regular file"):
            open_regular(tmp_path / name)


def test_sha256_is_that_of_the_whole_file(tmp_path):
    content = bytes(range(256)) * 10_000
    (tmp_path / "file").write_bytes(content)
    import hashlib

    with open_regular(tmp_path / "file") as file:
        file.read(10)
        assert sha256_of(file) == hashlib.sha256(content).hexdigest()
        assert sha256_of(file, 2_000_000) == hashlib.sha256(content[:2_000_000]).hexdigest()
