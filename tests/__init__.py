import os

# The sandbox of all tests, whatever emulators are added later: they compare its events, and the README's outputs.
os.environ["SANDBOX_PROVIDERS"] = "subnoto,taktikal"
