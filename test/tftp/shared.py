"""Makes the helpers of test/cmd/conftest.py available to the tests of this folder, which has a
conftest.py itself."""
import importlib.util
import pathlib

_spec = importlib.util.spec_from_file_location(
    "cmd_conftest", pathlib.Path(__file__).resolve().parents[1] / "cmd" / "conftest.py")
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)

QUIET_S, SOCKEYE, WAIT_S = _module.QUIET_S, _module.SOCKEYE, _module.WAIT_S
pytest_make_parametrize_id = _module.pytest_make_parametrize_id
netns, program, run = _module.netns, _module.program, _module.run
read_all, until = _module.read_all, _module.until
