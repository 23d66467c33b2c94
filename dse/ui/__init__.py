"""Web UIs of a run: Optuna's dashboard and NNI's."""
