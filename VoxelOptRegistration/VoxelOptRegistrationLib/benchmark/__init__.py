"""Every method on pairs with known truth: cases, programs, runs in processes of their own, scores, tables."""
