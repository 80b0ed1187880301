"""The checks, one module for each group."""

import sys
from pkgutil import iter_modules

if "pytest" in sys.modules:  # pytest must know the modules before they are imported
    sys.modules["pytest"].register_assert_rewrite(*(f"{__name__}.{module.name}" for module in iter_modules(__path__)))
