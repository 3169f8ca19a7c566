"""Where mutants are tried: copies of the package and of the heart's tests in temporary folders, never the tree."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.mutants.mutant import Mutant

ROOT = Path(__file__).parents[2]
TESTS = "tests/conversation"
PROPERTIES = f"{TESTS}/test_properties.py"
_TESTS_FAILED = 1
"""pytest's exit status when tests ran and some failed; others mean that the tests could not run."""
_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+::.+?)(?: - .*)?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one mutant."""

    mutant: Mutant
    line: int
    state: Literal["killed", "survived", "error"]
    by: str
    """The first test that failed; for an error what went wrong."""
    seconds: float


class Bench:
    """One copy of the project in `folder`, in which one mutant after the other is tried.

    `fast_s` and `thorough_s` limit the two runs of each. A run that takes longer counts as killed: the call hangs.
    """

    def __init__(self, folder: Path, *, fast_s: float = 90.0, thorough_s: float = 240.0) -> None:
        self.folder = folder
        self._limits = (fast_s, thorough_s)
        skipped = shutil.ignore_patterns("__pycache__", ".*_cache", ".hypothesis")
        shutil.copytree(ROOT / "bridge", folder / "bridge", ignore=skipped)
        shutil.copytree(ROOT / TESTS, folder / TESTS, ignore=skipped)
        for name in ("tests/__init__.py", "tests/conftest.py", "pyproject.toml"):
            shutil.copy(ROOT / name, folder / name)
        # Compiled code is found stale by the source's content: its time and size may be those of the last mutant.
        compiling = (sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "checked-hash", "bridge")
        subprocess.run(compiling, cwd=folder, check=True)

    def sound(self) -> str:
        """Return the first test that fails without any mutant, or what else is wrong; empty when all is well."""
        asking = (sys.executable, "-c", "import bridge; print(bridge.__file__)")
        found = subprocess.run(asking, cwd=self.folder, check=True, capture_output=True, text=True).stdout
        if not Path(found.strip()).is_relative_to(self.folder.resolve()):
            return f"the tests would run with {found.strip()}, not with the copy"
        return self._test(thorough=False)[1] or self._test(thorough=True)[1]

    def try_out(self, mutant: Mutant) -> Verdict:
        """Put the mistake in, run the tests, and take it out again."""
        began = time.monotonic()
        path = self.folder / mutant.path
        source = path.read_text(encoding="utf-8")
        line = 0
        try:
            line = mutant.line(source)
            path.write_text(mutant.apply(source), encoding="utf-8")
            state, by = self._test(thorough=False)
            if state == "survived":
                state, by = self._test(thorough=True)
        except ValueError as error:
            state, by = "error", str(error)
        finally:
            path.write_text(source, encoding="utf-8")
        return Verdict(mutant, line, state, by, round(time.monotonic() - began, 2))

    def _test(self, *, thorough: bool) -> tuple[Literal["killed", "survived", "error"], str]:
        """Run the scenes, or the properties. Returns what that says of the mutant, and the test that failed."""
        what = (PROPERTIES, "--hypothesis-seed=1") if thorough else (TESTS, f"--ignore={PROPERTIES}")
        # A mistake need be found only once: tried again, what fails takes four times as long and pauses between.
        once = ("-x", "--force-reruns=0")
        options = (*once, "-q", "--tb=no", "--no-header", "-p", "no:cacheprovider", "--timeout=10")
        command = (sys.executable, "-m", "pytest", *what, *options)
        # Hypothesis must not remember what an earlier mutant did wrong: each is to be found out anew.
        shutil.rmtree(self.folder / ".hypothesis", ignore_errors=True)
        limit = self._limits[thorough]
        try:
            done = subprocess.run(
                command,
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": str(self.folder), "COLUMNS": "400"},
                capture_output=True,
                text=True,
                timeout=limit,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "killed", f"no end within {limit:g} s"
        if done.returncode == 0:
            return "survived", ""
        failed = _FAILED.search(done.stdout)
        if done.returncode == _TESTS_FAILED and failed:
            return "killed", failed.group(1)
        return "error", (done.stdout + done.stderr).strip()[-300:]
