import os

# Tests compare the events of these two with fixed values and the README's outputs, which another emulator would change.
os.environ["SANDBOX_PROVIDERS"] = "subnoto,taktikal"
