"""What a run leaves on disk: plain JSON and safetensors, readable without Keras and without this package."""
