"""From members to one array of predictions. The last folder that imports Keras."""
