import numpy as np

import predict
import train


def test_model_learns_what_is_easy():
    labels = np.arange(200) % 10
    pixels = np.zeros((200, 64))
    pixels[np.arange(200), labels] = 16
    params = {"C": 10.0, "gamma": 0.001, "seed": 0, "train_share": 1.0}
    model, rows = train.fit(labels, pixels, params)
    assert rows == 200
    assert model.score(pixels, labels) == 1


def test_every_image_has_one_ink():
    assert predict.ink_of(np.full(64, 1.0)) == "thin"
    assert predict.ink_of(np.full(64, 5.0)) == "medium"
    assert predict.ink_of(np.full(64, 9.0)) == "bold"
