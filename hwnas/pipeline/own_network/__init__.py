"""compress for a user's own trained network: read, cut, time, score, plan, ship. A stage is a file of this folder."""
