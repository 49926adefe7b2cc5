"""What a person types: options → one call → render → exit code."""

import atexit
import gc

# Collecting garbage costs a tenth of a short command, most of it while modules load; `tail` and `trace`, which
# run long, switch it on again.
gc.disable()
atexit.register(gc.freeze)  # nor is there anything to collect at the end, which Python else does over all that is loaded
