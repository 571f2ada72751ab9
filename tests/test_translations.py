"""Every sentence of the pages can be translated, and every catalogue is whole.

The pages are read in a made-up language that puts each translated sentence into brackets: words that stand outside of
them are not in the catalogues.
"""

import ast
import re
from gettext import NullTranslations
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import page_rows
import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from conftest import ROOT
from flask import Flask
from page_visitor import Visitor

from provisioning import translation
from provisioning.models import utcnow
from provisioning.roles import Role
from provisioning.web import invitations

CATALOGUES = sorted((ROOT / "translations").glob("*/LC_MESSAGES/messages.po"))
PLACE = re.compile(r"%\(\w+\)[sd]|%%")
# what is no sentence: names of things, units, and what the rows of these pages hold
DATA = re.compile(
    r"DualCam|SMS|IMEI|SHA-256|UTC|EET|EEST|MSK|DIN\d?|FMC125|GMT|\b(?:min|kB|MB|GB|MP4|CSV|ms|SIM|UTF-8)\b"
    r"|Layout( 1 with a name that is rather long)?|Yard|(for )?tests|English|Deutsch|Europe/Vilnius|AD|fleet|cam11"
    r"|https?://\S+|[\w.]+@[\w.]+|\S*\d\S*"
)
WORD = re.compile(r"[A-Za-zÀ-ÿ]{2,}")
SILENT = ("script", "style", "code", "pre", "kbd", "bdi")
BREAK = "\0"


class Brackets(NullTranslations):
    """A language in which a sentence is the English one in brackets; what is filled in stands outside of them."""

    def gettext(self, message: str) -> str:
        return "⟦" + PLACE.sub(lambda found: f"⟧{found[0]}⟦", message) + "⟧"

    def pgettext(self, context: str, message: str) -> str:
        return self.gettext(message)

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return self.gettext(msgid1 if n == 1 else msgid2)


class Texts(HTMLParser):
    """Collects what a page says: text, and the attributes that are read out or shown."""

    def __init__(self) -> None:
        super().__init__()
        self.texts = ""  # of all nodes, with BREAK between: a sentence may run over several
        self.attributes: list[str] = []
        self.silent = 0
        self.in_value = False  # the text of an option is what the form sends

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.silent += tag in SILENT
        self.in_value = tag == "option" and not dict(attrs).get("value")
        self.texts += BREAK
        self.attributes += [
            value
            for name, value in attrs
            if value
            and (name in ("alt", "title", "aria-label", "placeholder") or name.startswith("data-text"))
        ]

    def handle_endtag(self, tag: str) -> None:
        self.silent -= tag in SILENT
        self.in_value = False
        self.texts += BREAK

    def handle_data(self, data: str) -> None:
        if not self.silent and not self.in_value:
            self.texts += data


def untranslated(page: str) -> list[str]:
    """Give the texts of a page that hold words outside of brackets."""
    reader = Texts()
    reader.feed(page)
    left = []
    for text in [reader.texts, *reader.attributes]:
        left += re.sub(r"⟦[^⟦⟧]*⟧", BREAK, text).split(BREAK)
    left = [DATA.sub("", text) for text in left]
    return [" ".join(text.split()) for text in left if WORD.search(text)]


def test_no_attribute_that_programs_read_is_translated() -> None:
    for path in (ROOT / "templates").rglob("*.html"):
        for name in re.findall(r'([a-z-]+)="\{\{ _\(', path.read_text()):
            assert name in {
                "alt",
                "title",
                "placeholder",
                "content",
                "label",
                "aria-label",
                "aria-valuetext",
            } or (name.startswith("data-text-")), f"{path.name}: {name}"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_no_page_has_a_sentence_outside_of_the_catalogues(
    app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = page_rows.seed(tmp_path)
    visitor = Visitor(app, Role.ADMIN)
    monkeypatch.setattr(translation, "_choose", Brackets)
    answers = {path: visitor.get(path) for path in paths}
    nobody = Visitor.__new__(Visitor)
    nobody.client = app.test_client()
    user, link = invitations.invite("ada@example.com", "", Role.VIEWER, utcnow())
    outside = ("/login", "/login?ended=1", "/invite/none", urlsplit(link.url).path, "/s/none")
    answers |= {path: nobody.get(path) for path in outside}
    person = f"/settings/people/{user.id}"
    # what forms answer: pages of their own, and what they say of fields
    for page, action, fields in (
        ("/login", "/login", {"email": "x", "password": "y"}),
        (urlsplit(link.url).path, urlsplit(link.url).path, {"password": "short"}),
    ):
        answers[f"POST {action}"] = nobody.send(page, action, **fields)
    for page, action, fields in (
        ("/settings/people", "/settings/people", {"email": "bob@example.com", "role": "viewer"}),
        ("/settings/people", "/settings/people", {"email": "none", "role": "none"}),
        (person, person, {"do": "invite"}),
        (person, person, {"do": "change", "role": "viewer", "tags": ","}),
        (person, person, {"do": "disable"}),
        ("/settings/people/1", "/settings/people/1", {"do": "disable"}),
        ("/settings/tokens", "/settings/tokens", {"name": "tests", "role": "viewer", "days": "1"}),
        ("/settings/tokens", "/settings/tokens", {"name": "tests", "role": "viewer", "days": "0"}),
        ("/settings/wall", "/settings/wall", {"name": "Yard"}),
        ("/settings/wall", "/settings/wall", {"name": ""}),
        ("/settings/sms", "/settings/sms", {"country_code": "x", "sms_login": "fleet"}),
        ("/settings/sms", "/settings/sms/test", {"phone": "x"}),
        ("/settings/storage", "/settings/storage", {"photo": "x", "video": "2"}),
        ("/settings/preset", "/settings/preset", {"name": "?"}),
        ("/account", "/account/password", {"current_password": "x", "password": "y"}),
        ("/account", "/account/language", {"language": "x", "time_zone": "y"}),
    ):
        answers[f"POST {action} {fields}"] = visitor.send(page, action, **fields)
    answers[person] = visitor.get(person)
    found = {
        path: texts
        for path, answer in answers.items()
        if not 300 <= answer.status_code < 400 and (texts := untranslated(answer.text))
    }
    assert not found


def marked_in_code() -> set[str]:
    """The sentences that code marks, wherever they stand: the collector misses those in f-strings and arguments."""
    arguments = {"gettext": 0, "ngettext": 0, "pgettext": 1, "N_": 0}
    return {
        given.value
        for path in sorted((ROOT / "provisioning").rglob("*.py"))
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in arguments
        for given in call.args[arguments[call.func.id] :][:1]
        if isinstance(given, ast.Constant) and isinstance(given.value, str)
    }


@pytest.mark.quick
@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parts[-3])
def test_a_catalogue_has_the_sentences_that_the_collector_would_not_see(path: Path) -> None:
    catalogue = read_po(path.open("rb"))
    known = {
        message.id if isinstance(message.id, str) else message.id[0] for message in catalogue if message.id
    }
    assert marked_in_code() - known == set()


@pytest.mark.quick
@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parts[-3])
def test_a_catalogue_has_every_sentence_and_is_compiled(path: Path) -> None:
    catalogue = read_po(path.open("rb"))
    found = [
        (message, context)
        for folder in ("provisioning", "receiver", "templates")
        for _, _, message, _, context in extract_from_dir(
            ROOT / folder,
            [("**.py", "python"), ("**.html", "jinja2")],
            {"**.html": {"trimmed": "true"}},
            {"_": None, "gettext": None, "ngettext": (1, 2), "pgettext": ((1, "c"), 2), "N_": None},
        )
    ]
    for message, context in found:
        one = message if isinstance(message, str) else message[0]
        entry = catalogue.get(one, context)
        assert entry, f"{one!r} is missing: run make translations"
        strings = entry.string if isinstance(entry.string, tuple) else (entry.string,)
        assert all(strings), f"{one!r} is not translated"
        places = set(PLACE.findall("".join([*message] if isinstance(message, tuple) else message)))
        for string in strings:
            assert set(PLACE.findall(string)) <= places, f"{string!r} has other values than {one!r}"
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    assert path.with_suffix(".mo").read_bytes() == compiled.getvalue(), "run make translations"
