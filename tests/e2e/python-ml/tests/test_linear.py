import numpy
import pytest
import tinymetrics

from tinylearn import Linear


@pytest.fixture
def data():
    random = numpy.random.default_rng(7)
    x = random.normal(size=(200, 3))
    return x, x @ [1.0, -2.0, 0.5] + 3 + random.normal(scale=0.1, size=200)


def test_it_learns(data):
    x, y = data
    assert tinymetrics.mae(y, Linear().fit(x, y).predict(x)) < 0.2


def test_it_must_be_fitted_first():
    with pytest.raises(ValueError):
        Linear().predict([[1, 2, 3]])
