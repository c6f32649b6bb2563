"""Breaking a deployment of real processes at random, and counting what was lost or ran twice."""
