"""Pictures and benchmark pages are what their scripts make of the stored data."""
import json
import os
import re
import shutil
import subprocess
import xml.etree.ElementTree

import pytest

import mdoc

FOLDER = mdoc.ROOT / "docs" / "pictures"
PAGES = ("README.md", "docs/BENCHMARKS.md")
SOCKEYE = os.environ.get("SOCKEYE", str(mdoc.ROOT / "build" / "sockeye"))


def stored(name):
    return json.loads((FOLDER / f"{name}.json").read_text())


def test_drawing_again_gives_the_same_bytes(tmp_path):
    subprocess.run([mdoc.ROOT / "scripts" / "draw-pictures", "--out", tmp_path], check=True)
    drawn = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert drawn == {path.name: path.read_bytes() for path in FOLDER.glob("*.svg")}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.svg")), ids=lambda path: path.name)
def test_picture_is_one_file_without_outside_references(path):
    root = xml.etree.ElementTree.parse(path).getroot()
    assert root.tag.endswith("}svg") and root.find("{*}title").text
    text = path.read_text().replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not re.search(r"https?:|href|<script|<image", text)


def test_pages_agree_with_the_stored_figures(tmp_path):
    pages = ("README.md", "docs/BENCHMARKS.md", "docs/BENCHMARK-TABLES.md")
    (tmp_path / "docs").mkdir()
    for page in pages:
        shutil.copy(mdoc.ROOT / page, tmp_path / page)
    subprocess.run([mdoc.ROOT / "bench" / "report", FOLDER / "bench.json", tmp_path], check=True)
    for page in pages:
        assert (tmp_path / page).read_text() == (mdoc.ROOT / page).read_text()


@pytest.mark.parametrize("page", PAGES)
def test_pictures_on_a_page_exist_in_light_and_dark(page):
    text = (mdoc.ROOT / page).read_text()
    shown = re.findall(r'(?:src|srcset)="([^"]+\.svg)"', text)
    assert shown
    for name in shown:
        assert ((mdoc.ROOT / page).parent / name).exists(), name
    assert len({name for name in shown if "-dark" in name}) == \
        len({name for name in shown if "-light" in name})


def test_every_service_and_model_is_in_the_table():
    done = subprocess.run([SOCKEYE, "serve", "--list", "--json"], text=True, check=True,
                          capture_output=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    names = {kind: [row["name"] for row in rows if row["event"] == kind and row["name"] != "tftp"]
             for kind in ("service", "model")}
    data = stored("services")
    assert ([row["name"] for row in data["rows"]], data["columns"]) == \
        (names["service"], names["model"])
    assert all(cell == "tcp · udp" for row in data["rows"] for cell in row["cells"])


def test_half_close_table_has_24_cells_of_each_program():
    data = stored("half-close")
    assert len(data["rows"]) == 12 and data["groups"][0]["title"] == "sockeye  24/24"
    for i, group in enumerate(data["groups"]):
        cells = [cell for row in data["rows"] for cell in row["cells"][2 * i:2 * i + 2]]
        assert group["title"].endswith(f"  {sum(cells)}/{len(cells)}")
