"""Read the CSV files that export_data.py writes."""
import numpy as np


def read(path):
    """Return (ids, labels, pixels) of a file."""
    rows = np.loadtxt(path, delimiter=",", skiprows=1, dtype=np.int64, ndmin=2)
    return rows[:, 0], rows[:, 1], rows[:, 2:].astype(np.float64)
