"""Laws of growth and their limits: power laws and rivals, where two engines cross, when a build has paid."""
