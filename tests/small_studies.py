"""A study that is over in a second: its rows, its model, and the call."""

import keras

import manyminima as mm
from problems import data, layers

X, Y = data(120)
OPTIONS = {"recipes": ["swa"], "epochs": 2, "seeds": 2, "peaks": (0.1,), "batch_size": 16}


def parts(x=X, y=Y):
    return (x[:60], y[:60]), (x[60:90], y[60:90]), (x[90:], y[90:])


def build_model(units=3, loss="sparse_categorical_crossentropy", optimizer=None, activation="softmax"):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(units, activation)])
    model.compile(optimizer or keras.optimizers.SGD(0.1, momentum=0.9), loss)
    return model


def study(rows=None, build=None, **changes):
    return mm.study(build or build_model, parts() if rows is None else rows, **{**OPTIONS, **changes})
