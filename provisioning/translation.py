"""Sentences for people, in the language of whoever reads them: what marks a sentence, and what translates it. Pure.

A sentence is written in English where it is made; `make translations` collects every sentence into the catalogues of
translations/, and `web.language` says which catalogue the reader of a page gets. Everywhere else (API, worker,
command line) sentences are English.
"""

from collections.abc import Callable
from gettext import NullTranslations
from typing import Any

ENGLISH = NullTranslations()


def _in_english() -> NullTranslations:
    return ENGLISH


_choose: Callable[[], NullTranslations] = _in_english


def use(choose: Callable[[], NullTranslations]) -> None:
    """Take each sentence from the catalogue that this function gives when it is asked."""
    global _choose
    _choose = choose


def catalogue() -> NullTranslations:
    """Give the catalogue of whoever reads now."""
    return _choose()


def gettext(sentence: str, **values: Any) -> str:
    """Translate a sentence and fill in its values: `gettext("The %(camera)s camera is silent.", camera=camera)`."""
    translated = catalogue().gettext(sentence)
    return translated % values if values else translated


def ngettext(one: str, many: str, number: int, **values: Any) -> str:
    """Translate what depends on a number, which is also the value `number`: `ngettext("%(number)s SMS", …, count)`."""
    return catalogue().ngettext(one, many, number) % {"number": number, **values}


def pgettext(context: str, sentence: str) -> str:
    """Translate a word that has another meaning elsewhere: `pgettext("event", "Save")` is not "Save" of a form."""
    return catalogue().pgettext(context, sentence)


def decimal(number: str) -> str:
    """Write a number with the decimal sign of whoever reads: "0.3" is "0,3" in German."""
    return number.replace(".", pgettext("decimal sign", "."))


def N_(sentence: str) -> str:
    """Mark a constant as a sentence of the catalogues; `gettext` translates it where it is shown."""
    return sentence
