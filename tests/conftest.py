"""Options of the tests."""


def pytest_addoption(parser):
    parser.addoption("--kills", type=int, default=3, help="how often the bench is killed in test_store (long: 100)")
