import pytest

from suite import results
from tests.reports.synthetic import bench

WHOLE = {"written", "site", "stranger"}  # fixtures that make a whole report or site, which takes long


def pytest_collection_modifyitems(items):
    for item in items:
        if WHOLE & set(item.fixturenames):
            item.add_marker("slow")


@pytest.fixture(scope="session")
def rows():
    return bench()


@pytest.fixture
def file(rows, tmp_path):
    path = tmp_path / "results.csv"
    results.write(path, rows)
    return path
