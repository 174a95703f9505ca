import pytest

from local.state import REPO
from tests.shares import FOLDERS, share


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_files_of_a_costly_fixture_are_one_share(folder: str) -> None:
    files = sorted((REPO / folder).glob("test_*.py"))
    assert len(files) > 1
    assert {share(f"{folder}{file.name}::test_it[a::b]") for file in files} == {folder}


def test_any_other_file_is_a_share() -> None:
    assert share("tests/unit/test_a.py::test_it[a::b]") == "tests/unit/test_a.py"
    assert share("tests/integration/test_a.py::test_it") == "tests/integration/test_a.py"
