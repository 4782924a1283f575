"""Five scikit-learn models, one honest combination: the half of the library that needs no Keras.

Members that differ are fitted on one part of the digits, combined and calibrated on a second, and judged on a third.

    python examples/any_framework.py
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import manyminima as mm

x, y = load_digits(return_X_y=True)
x, x_test, y, y_test = train_test_split(x, y, test_size=0.25, stratify=y, random_state=0)
x, x_val, y, y_val = train_test_split(x, y, test_size=0.33, stratify=y, random_state=0)

models = [
    GaussianNB(var_smoothing=1e-2),
    make_pipeline(StandardScaler(), LogisticRegression(C=0.05)),
    KNeighborsClassifier(5),
    ExtraTreesClassifier(100, random_state=0),
    MLPClassifier((64,), max_iter=300, random_state=0),
]
val, test = (np.stack([model.fit(x, y).predict_proba(part) for model in models]) for part in (x_val, x_test))

fitted = mm.Combination.fit(y_val, val, coefficients="fitted", calibrate="temperature")
print(fitted, end="\n\n")
report = mm.report(y_test, test, validation=(y_val, val), combination=fitted, x=x_test.reshape(-1, 8, 8))
print(report)
print(report.to_html("runs/any_framework.html"))
