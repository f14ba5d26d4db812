#!/bin/sh
# The second commit of the story: somebody makes the training faster, and the model clearly worse.
# Run it in a clone of this repository; then push. The comparison says "fail", and the reviewer sees why.
set -eu
cd "$(dirname "$0")"
sed -i 's/"train_share": [0-9.]*/"train_share": 0.05/' params.json
git add params.json
git commit -q -m "Train on a twentieth of the rows: it is much faster"
git log --oneline -1
