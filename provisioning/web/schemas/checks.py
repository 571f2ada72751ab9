"""Checks of a device."""

from marshmallow import fields, validate

from provisioning.check.facts import LOOKS
from provisioning.check.steps import QUESTIONS
from provisioning.web.schemas.request_fields import Strict


class CheckAnswerSchema(Strict):
    """A person's answer to a question of a check."""

    question = fields.String(required=True, validate=validate.OneOf(QUESTIONS))
    answer = fields.String(required=True, validate=validate.OneOf(LOOKS))
