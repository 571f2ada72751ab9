"""Reads variables of the environment by name and type. No other module reads the environment.

Each variable may come as NAME or as NAME_FILE (a file that holds it). Called by `config`.
"""

import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from environs import Env
from marshmallow.validate import Range

from provisioning.tracker.normalization import clean_text

ROOT = Path(__file__).resolve().parent.parent.parent
# names that were settings once, until version 1.0
IGNORED = {"QUEUE_URL": "there is no queue besides the database any more. Remove it, and the queue's file."}


class Environment(Env):
    """Gives each variable, or the text of the file that NAME_FILE names, without blanks around it."""

    def _get_value(self, env_key: str, default: Any) -> Any:
        if path := clean_text(os.environ.get(f"{env_key}_FILE", "")):
            try:
                return clean_text(Path(path).read_text())
            except (OSError, UnicodeDecodeError) as error:
                raise ValueError(f"The value of {env_key}_FILE must be a readable file path.") from error
        value = super()._get_value(env_key, default)
        return clean_text(value) if isinstance(value, str) else value


class VariableReader:
    """Reads one variable by name and type; an unreadable NAME_FILE is an error of that name, not a crash."""

    def __init__(self, env: Env, errors: dict[str, list[str]]) -> None:
        self.env, self.errors = env, errors

    def _get(self, kind: str, name: str, **options: Any) -> Any:
        try:
            return getattr(self.env, kind)(name, **options)
        except ValueError as error:
            self.errors.setdefault(name, []).append(str(error))
            return None

    def text(self, name: str, default: str | None = None, **options: Any) -> Any:
        return self._get("str", name, default=default, **options) or default

    def required(self, name: str) -> Any:
        value = self._get("str", name, default="")
        if not value and name not in self.errors:
            self.errors[name] = ["Required: set it, or name a file that holds it in " + name + "_FILE."]
        return value

    def integer(self, name: str, default: int | None, low: int, high: int) -> Any:
        return self._get("int", name, default=default, validate=_optional(Range(low, high)))

    def number(self, name: str, default: float, low: float, high: float) -> Any:
        return self._get("float", name, default=default, validate=Range(low, high))

    def flag(self, name: str) -> Any:
        return self._get("bool", name, default=False)

    def words(self, name: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        found = self._get("list", name, default=list(default)) or []
        return tuple(word.strip() for word in found if word.strip())

    def path(self, name: str, default: Path | None = None) -> Path | None:
        value = self.text(name)
        return Path(value).absolute() if value else default


def _optional(check: Range) -> Any:
    return lambda value: None if value is None else check(value)


def warn_of_ignored() -> None:
    """Warn of variables that are set and have no effect any more."""
    for name, reason in IGNORED.items():
        if name in os.environ:
            warnings.warn(f"{name} is set and ignored: {reason}", stacklevel=3)


def inherited(names: Iterable[str]) -> dict[str, str]:
    """Give the part of the environment that a child process gets."""
    return {name: os.environ[name] for name in names if name in os.environ}
