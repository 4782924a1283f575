"""Weight decay as the papers of image networks mean it."""

import keras

__all__ = ["add_weight_decay"]


def add_weight_decay(model: keras.Model, decay: float) -> None:
    """Let training pull every trainable weight towards 0: `decay · w` is added to its gradient, before momentum.

    This is what `weight_decay` of SGD in Torch and PyTorch does, and what papers call weight decay: the same as a loss of
    `decay / 2 · Σ w²`, over kernels, biases and the scales and offsets of BatchNormalization. In Keras it is
    `regularizers.L2(decay / 2)`, since `L2(l)` has the gradient 2 · l · w. It is not `weight_decay` of Keras's optimizers, which
    does not go through momentum, and is multiplied by the rate.

    The penalty is part of `loss` and `val_loss`. Call this before `compile`, or at least before `fit`. Layers keep it in their
    config, so that it is on record in a run; where layers have regularizers already, they are replaced.

    Args:
        model: built, changed in place. Weights that are not trainable are left out.
        decay: 0 or above, 5e-4 for example; 0 takes regularizers away.

    Raises:
        ValueError: the decay is negative or not finite, or the model has no weights yet.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> add_weight_decay(model, 0.1)
    >>> round(float(sum(model.losses)), 6)
    0.1

    Reference:
        Krogh & Hertz 1992, A simple weight decay can improve generalization.
    """
    if not 0 <= decay < float("inf"):
        raise ValueError(f"the weight decay is {decay}. Expected a number of at least 0: write 5e-4.")
    if not model.built:
        raise ValueError(
            f"model {model.name!r} has no weights yet. Build it first, by keras.Input or model.build(shape)."
        )
    penalty = keras.regularizers.L2(decay / 2) if decay else None
    for layer in model._flatten_layers():
        for name in [name for name in vars(layer) if name.endswith("_regularizer") and name != "activity_regularizer"]:
            setattr(layer, name, penalty)
    for variable in model.trainable_variables:
        variable.regularizer = penalty
