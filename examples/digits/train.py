"""Train a support vector machine on the digits: train.py [--data FILE] [--params FILE] [--out FOLDER].

Writes FOLDER/model/model.joblib and FOLDER/metrics.json.
"""
import argparse
import json
import pathlib

import joblib
import numpy as np
from sklearn.svm import SVC

import table


def fit(labels, pixels, params):
    """Return a trained model and how many rows it has seen."""
    rows = max(50, round(len(labels) * params["train_share"]))
    chosen = np.random.RandomState(params["seed"]).permutation(len(labels))[:rows]
    model = SVC(C=params["C"], gamma=params["gamma"], probability=True, random_state=params["seed"])
    model.fit(pixels[chosen], labels[chosen])
    return model, len(chosen)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="data/train.csv")
    parser.add_argument("--params", default="params.json")
    parser.add_argument("--out", default="out")
    args = parser.parse_args()

    params = json.loads(pathlib.Path(args.params).read_text())
    _, labels, pixels = table.read(args.data)
    model, rows = fit(labels, pixels, params)
    metrics = {
        "train_accuracy": float(model.score(pixels, labels)),
        "train_rows": rows,
        "support_vectors": int(model.n_support_.sum()),
    }

    out = pathlib.Path(args.out)
    (out / "model").mkdir(parents=True, exist_ok=True)
    joblib.dump(model, out / "model" / "model.joblib")
    (out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    print(f"trained on {rows} rows, {metrics['support_vectors']} support vectors")


if __name__ == "__main__":
    main()
