"""From a finished search to architectures within budgets, and to the one that is made."""
