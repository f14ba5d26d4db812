"""Write data/train.csv and data/heldout.csv from scikit-learn's bundled digits.

The split is fixed: the same rows are held out for every model, so that two models can be compared row by row.
"""
import csv
import pathlib
import sys

import numpy as np
from sklearn.datasets import load_digits

SEED = 20260503
HELD_OUT = 897


def split():
    """Return (train ids, held-out ids): disjoint, together every row, the same on every machine."""
    order = np.random.RandomState(SEED).permutation(len(load_digits().target))
    return sorted(order[HELD_OUT:]), sorted(order[:HELD_OUT])


def write(path, ids, digits):
    """Write one line an image: its id, its label and 64 pixels from 0 (paper) to 16 (ink)."""
    with open(path, "w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["id", "label"] + [f"x{i}" for i in range(64)])
        for i in ids:
            rows.writerow([int(i), int(digits.target[i])] + [int(x) for x in digits.data[i]])


def main(folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    digits = load_digits()
    train, heldout = split()
    write(folder / "train.csv", train, digits)
    write(folder / "heldout.csv", heldout, digits)
    print(f"{len(train)} rows to train on, {len(heldout)} held out")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "data")
