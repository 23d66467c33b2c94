"""The explorers by name, with a line about each; kept apart so that listing them imports nothing heavy."""

EXPLORERS = {
    "optuna:nsga2": "NSGA-II, a genetic algorithm for several objectives",
    "optuna:tpe": "tree-structured Parzen estimator",
    "random": "uniform draws among the candidates that fit",
}
