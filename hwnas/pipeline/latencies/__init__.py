"""Where latencies come from: tables, estimates, the speed of the machine, devices elsewhere."""
