"""A linear model small enough to train in a test."""
import json

import numpy


class Linear:
    def __init__(self, seed=0):
        self.seed = seed
        self.weights = None

    def fit(self, x, y):
        x = numpy.column_stack([numpy.ones(len(x)), x])
        self.weights = numpy.linalg.lstsq(x, y, rcond=None)[0]
        return self

    def predict(self, x):
        if self.weights is None:
            raise ValueError("fit it first")
        return numpy.column_stack([numpy.ones(len(x)), x]) @ self.weights

    def save(self, path):
        with open(path, "w") as f:
            json.dump({"seed": self.seed, "weights": self.weights.tolist()}, f)
