"""What docs/ claims about the code and a test can check."""

import re

from conftest import ROOT


def test_every_variable_that_is_read_is_documented_and_the_other_way_round() -> None:
    source = "".join(
        (ROOT / name).read_text()
        for name in ("provisioning/config.py", "gunicorn.conf.py")
        if (ROOT / name).exists()
    )
    read = set(re.findall(r'"([A-Z][A-Z_]{3,})"', source))
    table = (ROOT / "docs" / "operations.md").read_text().split("## Environment")[1].split("## Users")[0]
    named = set(re.findall(r"`([A-Z][A-Z_]{3,})`", table.split("|---|", 1)[1]))
    assert read - {"PROMETHEUS_MULTIPROC_DIR"} == named


def test_every_document_that_is_referred_to_exists() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} points to {target}"
