"""The tests of this folder run servers like those of test/model."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "model"))

from fixtures import model, netns, serve  # noqa: E402, F401
