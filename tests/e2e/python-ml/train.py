import argparse
import json
import os

import numpy

from tinylearn import Linear

parser = argparse.ArgumentParser()
parser.add_argument("--rows", type=int, default=500)
parser.add_argument("--out", default="model")
given = parser.parse_args()
random = numpy.random.default_rng(1)
x = random.normal(size=(given.rows, 4))
y = x.sum(axis=1) + random.normal(scale=0.05, size=given.rows)
model = Linear().fit(x, y)
error = float(numpy.abs(model.predict(x) - y).mean())
os.makedirs(given.out, exist_ok=True)
model.save(os.path.join(given.out, "model.json"))
with open(os.path.join(given.out, "metrics.json"), "w") as f:
    json.dump({"mae": error, "rows": given.rows}, f)
print("mae %.4f on %d rows" % (error, given.rows))
