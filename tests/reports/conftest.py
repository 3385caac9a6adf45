import pytest

from suite import results
from tests.reports.synthetic import bench


@pytest.fixture(scope="session")
def rows():
    return bench()


@pytest.fixture
def file(rows, tmp_path):
    path = tmp_path / "results.csv"
    results.write(path, rows)
    return path
