from scripts.gpu.checks import Checks, NotRunError


def run(checks: Checks) -> None:
    print("a library says something on stdout")
    with checks.check("one that does not hold") as check:
        check.measured("3 of 4", count=3)
        check.require(False, "one is missing")
    with checks.check("one that breaks"):
        raise ValueError("two\nlines")
    with checks.check("one that cannot run"):  # type: ignore[unreachable]
        raise NotRunError("peft is not installed")
    with checks.check("one that holds") as check:
        check.measured("4 of 4", count=4)
