"""Checks of a device: answers to their questions, and how they go."""

from marshmallow import fields, validate

from provisioning.check.facts import BAD, GOOD, HIDDEN, LOOKS, SKIPPED, WARN
from provisioning.check.steps import QUESTIONS, STEPS
from provisioning.check.verdicts import BY_ID
from provisioning.web.schemas.request_fields import Strict
from provisioning.web.schemas.response_fields import (
    Count,
    Many,
    Number,
    One,
    ResponseSchema,
    Text,
    Texts,
    Time,
    Word,
)


class CheckAnswerSchema(Strict):
    """A person's answer to a question of a check."""

    question = fields.String(required=True, validate=validate.OneOf(QUESTIONS))
    answer = fields.String(required=True, validate=validate.OneOf(LOOKS))


class StepResponse(ResponseSchema):
    """A step of a check."""

    id = Word(step.id for step in STEPS)
    title = Text()
    state = Word(("later", "running", "question", SKIPPED, "done"))
    verdict = Word((GOOD, WARN, BAD, HIDDEN), null=True)
    text = Text()
    todo = Text()
    seconds = Number(null=True, about="how long its answers took")
    commands = Texts(about="ids of its commands")


class VerdictActionResponse(ResponseSchema):
    """What can be done about a verdict."""

    label = Text()
    kind = Text()


class FurtherFaultResponse(ResponseSchema):
    """A fault that a check found beside its verdict."""

    code = Word(BY_ID)
    title = Text()
    todo = Text()


class VerdictResponse(ResponseSchema):
    """How a check came out; docs/checklist.md lists the codes."""

    code = Word(BY_ID)
    title = Text()
    certainty = Word(("certain", "likely", "one_of"))
    camera = Word(("front", "rear", "both"), null=True)
    todo = Text()
    text = Text()
    rests_on = Texts(about="ids of steps")
    who = Word(("desk", "vehicle"), null=True, about="who can do the next step")
    action = One(VerdictActionResponse, null=True)
    also = Many(FurtherFaultResponse)


class QuestionResponse(ResponseSchema):
    """What a check waits for a person with."""

    id = Word(QUESTIONS)
    text = Text()
    answers = Texts(words=LOOKS)


class CheckResponse(ResponseSchema):
    """A check: its steps, its verdict, or its question."""

    state = Word(("running", "waiting", "ended"))
    started_at = Time()
    ended_at = Time(null=True)
    started_by = Text()
    steps = Many(StepResponse)
    verdict = One(VerdictResponse, null=True)
    question = One(QuestionResponse, null=True)
    note = Text(null=True, about="why it was ended before its end")
    sms = Count(about="how many were sent")
