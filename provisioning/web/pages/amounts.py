"""Amounts as people read them: money, large numbers, and the size of a file."""

from babel.numbers import format_decimal
from flask_babel import get_locale

from provisioning.core.prices import Price
from provisioning.translation import ngettext


def money(price: Price) -> str:
    """Show an amount of money: "0.0079 USD", "25.00 USD", with the decimal sign of the reader's language."""
    return f"{format_decimal(price.amount.normalize(), '0.00######', get_locale() or 'en')} {price.currency}"


def number(count: int) -> str:
    """Show a whole number: "10,000", with the separator of the reader's language."""
    return str(format_decimal(count, "#,##0", get_locale() or "en"))


def size(count: int | None) -> str:
    """Show a number of bytes."""
    if not count:
        return "0"
    for limit, unit, name in ((1e6, 1e3, "kB"), (1e9, 1e6, "MB"), (1e15, 1e9, "GB")):
        if count < 1e3:
            return ngettext("%(number)s byte", "%(number)s bytes", count)
        if count < limit:
            return (
                f"{format_decimal(count / unit, '0' if unit < 1e6 else '0.0', get_locale() or 'en')} {name}"
            )
    return str(count)
