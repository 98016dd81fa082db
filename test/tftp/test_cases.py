"""Every case has a test, and every number in a test is a case."""
import ast
import pathlib

import cases

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def claims():
    """The tests of this folder by the number of their case."""
    found = {}
    for path in sorted(HERE.glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test"):
                continue
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and getattr(mark.func, "id", "") == "case":
                    for number in mark.args:
                        found.setdefault(number.value, []).append(f"{path.name}::{node.name}")
    return found


def test_every_case_has_a_test():
    assert not set(cases.CASES) - set(claims()) - set(cases.ELSEWHERE)


def test_every_claim_is_a_case():
    assert not set(claims()) - set(cases.CASES)


def test_what_is_elsewhere_is_there():
    for number, (path, text) in cases.ELSEWHERE.items():
        assert number in cases.CASES
        for part in text.split(": ", 1):
            assert part in (ROOT / path).read_text(), (number, part)
