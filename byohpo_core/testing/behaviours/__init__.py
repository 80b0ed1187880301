"""What an algorithm must do: one module for each group of checks."""

import sys
from pkgutil import iter_modules

if "pytest" in sys.modules:  # it can show the values of a failed assertion only if it is asked before the import
    sys.modules["pytest"].register_assert_rewrite(*(f"{__name__}.{module.name}" for module in iter_modules(__path__)))
