#!/usr/bin/env bash
# Build the wheel, install it alone in a new environment, and test the half that needs no Keras from an empty folder.
# What is missing from the wheel, or imported by accident from the source tree, shows here and nowhere else.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$BIN/python" -m build --quiet --wheel --outdir "$work" "$root"
"$PYTHON" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --constraint "$root/constraints.txt" \
    "$work"/manyminima-*.whl pytest pytest-randomly pytest-xdist hypothesis beartype

mkdir "$work/empty" && cd "$work/empty"
cp "$root"/tests/{conftest,cases}.py .
for name in arrays calibrate coefficients combination combination_files combine decomposition dense detection diversity \
    equivalent metrics mixtures plots predictions report report_doubt report_shown report_trust segmentation selection uncertainty weight_space; do
    [ -f "$root/tests/test_$name.py" ] && cp "$root/tests/test_$name.py" .
done
"$work/venv/bin/manyminima" --help >/dev/null
"$work/venv/bin/python" -m pytest -q -n 2 -W error --rootdir . .
