"""What people read of commands and of texts that came in: a sentence for every code that rows and findings hold."""

from collections.abc import Callable, Mapping
from typing import Any

from provisioning.commands import gateway_words
from provisioning.core import encryption
from provisioning.devices import status_table, status_words, transfer_times
from provisioning.models import StatusItem
from provisioning.phrase import AS_IT_IS, Phrase, read
from provisioning.tracker.language import reply_from
from provisioning.tracker.language.unsendable import REASONS
from provisioning.tracker.language.unsendable import sentence as unsendable
from provisioning.tracker.parameters import describe, titled
from provisioning.translation import N_, gettext

Arguments = Mapping[str, Any]
Words = str | Callable[[Arguments], str]


def _set_camera_server(a: Arguments) -> str:
    how = (
        gettext("send %(domain_id)s = %(domain)s and %(port_id)s = %(port)s", **a)
        if "domain_id" in a
        else gettext(
            "enter it by the Configurator (Domain and Port in the tab RS232/RS485 or Camera Settings), then tick at"
            " Name, number, SMS login that it is set"
        )
    )
    return gettext(
        "Nothing that the vehicle takes by itself will reach this service until the vehicle's own camera server is set"
        " to %(address)s: %(how)s. Requests name the server themselves, triggers and periodic photos do not.",
        address=a.get("address") or gettext("this service's address"),
        how=how,
    )


_MISSING: Mapping[str, str] = {
    "front": N_("Only one of two files came; that of the front camera is missing."),
    "rear": N_("Only one of two files came; that of the rear camera is missing."),
}


def _partial(a: Arguments) -> str:
    missing = gettext(_MISSING[a["missing"][0]])
    return f"{missing} {sentence(a['error'])}" if "error" in a else missing


def _not_taken_over(a: Arguments) -> str:
    said = [
        gettext(
            "%(name)s: asked for %(asked)s, the tracker has %(held)s",
            name=titled(int(one["number"])),
            asked=describe(int(one["number"]), one["asked"]),
            held=describe(int(one["number"]), one["held"]),
        )
        for one in a["different"]
    ]
    if a["missing"]:
        said.append(gettext("not told: %(numbers)s", numbers=_listed(a["missing"])))
    return gettext(
        "The tracker did not take over everything (%(values)s). Its firmware may be too old.",
        values="; ".join(said),
    )


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(titled, numbers))


def _refused(a: Arguments) -> str:
    return gettext("The tracker answered: %(words)s", words=a["words"]) + f" {sentence(a['advice'])}"


def _too_slow(a: Arguments) -> str:
    takes = gettext(
        "At the speed of the last check (%(rate)s) this takes about %(time)s, longer than the %(wait)s that a request"
        " waits.",
        rate=transfer_times.rate(a["bytes_per_second"]),
        time=transfer_times.about(a["takes"]),
        wait=transfer_times.about(a["waits"]),
    )
    comes = a.get("comes")
    return (
        takes + " " + gettext("At most %(seconds)s s of one camera come in time.", seconds=comes)
        if comes
        else takes
    )


def _several(a: Arguments) -> str:
    return " ".join(dict.fromkeys(sentence(one) for one in a["phrases"]))


_SERVICE_ERRORS: Mapping[str, str] = {
    "already_requested": N_("The same request is still under way."),
    "already_here": N_("This clip is here already."),
    "archived": N_("The vehicle is archived."),
    "cabin_private": N_("This vehicle takes nothing of the cabin."),
    "credentials_pending": N_("A change of the SMS login is still under way."),
    "gateway_not_configured": N_("No SMS gateway is configured."),
}


def _service_error(a: Arguments) -> str:
    """Say why something could not be asked, without what only whoever asked at that moment could use."""
    known = _SERVICE_ERRORS.get(a["code"])
    return gettext(known) if known else gettext("It could not be asked for (%(code)s).", code=a["code"])


def _failed(a: Arguments) -> str:
    error = sentence(a["error"])
    return f"{a['command']}: {error}" if "command" in a else error


WORDS: Mapping[str, Words] = {
    AS_IT_IS: lambda a: str(a["text"]),
    "reply": lambda a: reply_sentence(a),
    "several": _several,
    "failed": _failed,
    "service_error": _service_error,
    **gateway_words.WORDS,
    "key_missing": encryption.NO_KEY,
    "set_camera_server": _set_camera_server,
    "too_slow": _too_slow,
    # why a command waits
    "waits_for_proof": N_("Waits until the new SMS login is proved."),
    "waits_for_files": N_("Waits for the files of the request before it."),
    "waits_for_restart": N_("Waits about %(seconds)s s: the cameras start again."),
    "waits_for_new_settings": N_("Waits about half a minute: the camera takes over its new settings."),
    # how it went on
    "sender_ended": N_("The process that was sending it ended before the gateway's answer was stored."),
    "found_at_gateway": N_("Found at the gateway: it went out."),
    "sent_again": N_("The gateway does not have it: sent again."),
    "file_goes_elsewhere": N_("The file goes to another server and will not be seen here."),
    "all_confirmed": N_("The tracker has confirmed every parameter."),
    "asked_what_it_holds": N_("Not everything is confirmed; the tracker is asked what it has."),
    "not_told": lambda a: gettext("The tracker did not tell %(numbers)s.", numbers=_listed(a["parameters"])),
    "file_came": N_("The file has come."),
    "every_file_came": N_("Every file has come."),
    "file_unlinked": N_("A file was unlinked; waiting again."),
    "cancelled_unsent": N_("Cancelled before it was sent."),
    "cancelled_never_sent": N_("It was cancelled and never sent."),
    "cancelled_under_way": N_("No longer waited for. It was handed over, so it may still happen."),
    "cancelled_but_answered": N_("It was cancelled after it was handed over; the tracker answered."),
    "device_archived": N_("The vehicle was archived before it was sent."),
    "not_needed_any_more": N_("Not needed any more."),
    # changes of the SMS login and password
    "answers_to_new_credentials": N_("The tracker answers to its new SMS login."),
    "confirmed_new_credentials": N_("The tracker confirmed its new SMS login."),
    "credentials_being_proved": N_(
        "The new SMS login is being proved: the firmware is asked for with each pair."
    ),
    "credentials_not_changed": N_("The tracker still obeys its old SMS login, which stays."),
    "neither_credentials_answered": N_(
        "The tracker answered neither to its old nor to its new SMS login; both are kept. Ask for the"
        " firmware again when the vehicle is awake."
    ),
    # why it ended
    "refused": _refused,
    "not_taken_over": _not_taken_over,
    "partial": _partial,
    "no_file": N_(
        "The tracker accepted the request, but no file came. Look at its connections: it may be unable to"
        " reach this server. A camera that cannot get through tries again after some 30 minutes."
    ),
    "queue_timeout": N_("It waited too long for the vehicle's turn and was never sent. Ask again."),
    "no_read_back": N_("The tracker answered in part and did not say the rest. Read the parameters back."),
    "unreadable_reply": lambda a: gettext(
        "The tracker answered in words that are not known here: %(words)s. Read them as they are.",
        words=repr(a["words"]),
    ),
    "delivered_without_reply": N_(
        "The SMS reached the SIM, but the tracker did not answer: check login and password, and whether"
        " its list of authorised numbers holds ours."
    ),
    "unclear": N_(
        "It never became clear whether the SMS went out, and the tracker did not answer. It may still happen."
    ),
    "not_reported": N_(
        "The tracker did not answer, and delivery was not reported: it may be switched off, asleep or out"
        " of coverage. The SMS may still arrive."
    ),
    "no_reports": N_(
        "The tracker did not answer, and this SMS gateway reports no delivery: it may be switched off,"
        " asleep or out of coverage. The SMS may still arrive."
    ),
    "not_sent": N_("The SMS was never sent, so nothing happened. Asking again is safe."),
    "superseded": N_(
        "It was not sent, and a newer request sets one of its parameters; the tracker is asked what it has."
    ),
    "settings_changed": N_("The settings of this service have changed since it was asked: %(words)s"),
    "more_than_one_sms": N_(
        "With the login and password that were entered since, it takes more than one SMS. Ask again."
    ),
    # texts that came in
    "unknown_number": N_("No vehicle has this number."),
    "nobody_asked": N_("No command asked for this; its values are in the status table."),
    "no_command_fits": N_("No command fits these words."),
    "read_with_other": N_("Read together with the text that came with it."),
    "put_aside": N_("Put aside by %(who)s."),
}


def sentence(phrase: Phrase) -> str:
    """Say a phrase to a person."""
    if phrase.code in REASONS:
        return unsendable(phrase)
    words = WORDS[phrase.code]
    return words(phrase.arguments) if callable(words) else gettext(words, **phrase.arguments)


def reply_sentence(held: Mapping[str, Any]) -> str:
    """Say what a reply means that a command's result keeps."""
    return reply_from(held).sentence


def status_value(row: StatusItem) -> str | None:
    """Give the value of a status item as programs read it: the last problem and files in words."""
    if row.value is not None and row.item == status_table.ERROR:
        return sentence(read(row.value))
    if row.value is not None and row.item in status_table.FILES:
        return status_words.sentence(read(row.value))
    return row.value


def said(held: str | Mapping[str, Any] | Phrase | None) -> str | None:
    """Say what a row holds; None where it holds nothing."""
    if held is None:
        return None
    return sentence(held if isinstance(held, Phrase) else read(held))
