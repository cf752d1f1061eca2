from __future__ import annotations

import errno
import os

import pytest

from dnaannot.errors import OutputError
from dnaannot.formats.output_folder import atomic_folder, check_folder


@pytest.fixture(params=[False, True], ids=["new", "there"])
def target(request, tmp_path):
    """A folder for outputs, there with a file in it or not yet."""
    path = tmp_path / "out"
    if request.param:
        path.mkdir()
        (path / "a").write_text("old")
    return path


def everything(folder):
    """Each file's text and each folder in a folder, hidden ones too."""
    return {path: path.is_file() and path.read_text() for path in folder.rglob("*")}


@pytest.fixture
def own_disk(target, monkeypatch):
    """What `target` holds lies on another disk than what is beside it, where it is there."""
    replace, is_there = os.replace, target.exists()

    def replaced(source, destination):
        if is_there and target not in source.parents:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        replace(source, destination)

    monkeypatch.setattr(os, "replace", replaced)


@pytest.mark.usefixtures("own_disk")
def test_files_appear_when_the_block_ends(target, tmp_path):
    before = everything(target)
    with atomic_folder(target) as temporary:
        (temporary / "a").write_text("new")
        (temporary / "b").write_text("more")
        assert everything(target).items() >= before.items()
    assert everything(tmp_path) == {target: False, target / "a": "new", target / "b": "more"}


def test_a_failure_and_a_check_leave_nothing(target, tmp_path):
    before = everything(tmp_path)

    def interrupted():
        with atomic_folder(target) as temporary:
            (temporary / "a").write_text("new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    check_folder(target)
    assert everything(tmp_path) == before


def test_the_check_tries_what_the_work_needs(target, monkeypatch):
    """Files may go into a folder whose parent takes none, and into no folder that takes none."""
    made = []
    monkeypatch.setattr(type(target), "mkdir", lambda path: made.append(path.parent))
    monkeypatch.setattr(type(target), "rmdir", lambda path: None)
    check_folder(target)
    assert made == [target if target.exists() else target.parent]

    def refused(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(target), "mkdir", refused)
    for use in (check_folder, lambda path: atomic_folder(path).__enter__()):
        with pytest.raises(OutputError, match="out: cannot be written: Permission denied"):
            use(target)
