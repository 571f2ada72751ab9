"""Which language a page speaks: the one that the person chose, else the browser's. The API speaks English."""

from gettext import NullTranslations

from flask import Flask, has_request_context, request
from flask_babel import Babel, get_locale, get_translations

from provisioning import translation
from provisioning.web import reader

NAMES = {"en": "English", "de": "Deutsch"}  # as each language calls itself
LANGUAGES = tuple(NAMES)

babel = Babel(configure_jinja=False)
_catalogues: dict[str, NullTranslations] = {}  # by the language


def init_app(app: Flask) -> None:
    """Translate the sentences of templates and of Python by one catalogue."""
    babel.init_app(app, locale_selector=language)
    translation.use(_catalogue)
    app.jinja_env.add_extension("jinja2.ext.i18n")
    app.jinja_env.policies["ext.i18n.trimmed"] = True
    app.jinja_env.globals["N_"] = translation.N_
    app.jinja_env.install_gettext_callables(  # type: ignore[attr-defined]
        lambda sentence: translation.catalogue().gettext(sentence),
        lambda one, many, number: translation.catalogue().ngettext(one, many, number),
        newstyle=True,
        pgettext=translation.pgettext,
    )


def language() -> str:
    """Give the language of this request."""
    if not has_request_context() or request.path.startswith(("/api/", "/webhooks/")):
        return "en"
    person = reader.person()
    if person and person.language in NAMES:
        return str(person.language)
    return request.accept_languages.best_match(LANGUAGES, "en") or "en"


def _catalogue() -> NullTranslations:
    """Give the reader's catalogue; a page asks for it with each of its sentences, and Flask-Babel takes 20 µs."""
    if not has_request_context():
        return translation.ENGLISH
    code = get_locale().language
    if code not in _catalogues:
        _catalogues[code] = get_translations()
    return _catalogues[code]
