"""Predict the held-out digits with a model: predict.py MODEL_FOLDER DATA_CSV PREDICTIONS_CSV.

Writes id, label, prediction, the probability of every class (p0 … p9), and how much ink the image has, which the
comparison uses as a slice: thin digits are the hard ones.
"""
import csv
import pathlib
import sys

import joblib

import table


def ink_of(pixels):
    """Return thin, medium or bold: by the mean darkness of an image."""
    mean = pixels.mean()
    return "thin" if mean < 4.5 else "medium" if mean < 5.2 else "bold"


def main(model_folder, data, predictions):
    model = joblib.load(pathlib.Path(model_folder) / "model.joblib")
    ids, labels, pixels = table.read(data)
    predicted = model.predict(pixels)
    probabilities = model.predict_proba(pixels)
    with open(predictions, "w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["id", "label", "prediction", "ink"] + [f"p{c}" for c in model.classes_])
        for i in range(len(ids)):
            rows.writerow([ids[i], labels[i], predicted[i], ink_of(pixels[i])] + [f"{p:.4f}" for p in probabilities[i]])
    print(f"{len(ids)} predictions, {(predicted == labels).mean():.4f} right")


if __name__ == "__main__":
    main(*sys.argv[1:4])
