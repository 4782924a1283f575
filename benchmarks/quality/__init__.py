"""What one budget of training is worth on MNIST-1D: see docs/quality.md."""
