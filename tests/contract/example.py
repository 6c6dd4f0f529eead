"""The provider of `docs/guides/adding-a-provider.md` and its emulator, compiled from the guide's text."""

import re
import sys
from pathlib import Path
from types import ModuleType

GUIDE = (Path(__file__).parents[2] / "docs/guides/adding-a-provider.md").read_text()
FILES = dict(re.findall(r"^`([\w./]+)`:\n\n```python\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL))
ADAPTER, EMULATOR = "app/providers/signbox.py", "sandbox/signbox/__init__.py"


def module_of(file: str) -> ModuleType:
    module = ModuleType(f"guide:{file}")
    sys.modules[module.__name__] = module  # pydantic resolves annotations there
    exec(compile(FILES[file], module.__name__, "exec"), vars(module))
    return module


PROVIDER = module_of(ADAPTER).PROVIDER
make_sandbox = module_of(EMULATOR).make_sandbox
