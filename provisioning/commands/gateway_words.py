"""What people read of an SMS gateway's errors, whatever gateway it was: each translates its own codes to these.

`gateway` among the arguments: the name of the one that named itself; without it, "The SMS gateway".
"""

from collections.abc import Mapping

from provisioning.translation import N_

WORDS: Mapping[str, str] = {
    "account_refused": N_("%(gateway)s refused the account SID or auth token: check %(settings)s."),
    "account_unknown": N_("%(gateway)s does not know this account or message: check %(settings)s."),
    "asked_too_often": N_("%(gateway)s is asked too often; it is tried again by itself."),
    "recipient_invalid": N_(
        "The phone number is not one that %(gateway)s can send to: correct it at Name, number, SMS login."
    ),
    "sender_refused": N_("%(gateway)s does not accept the sender number: check %(settings)s."),
    "country_not_allowed": N_(
        "The %(gateway)s account may not send to this country: allow it in %(gateway)s's geographic permissions."
    ),
    "no_text": N_("The SMS had no text."),
    "no_recipient": N_("The SMS had no recipient: check the vehicle's phone number."),
    "sender_cannot_reach_country": N_(
        "The sender number cannot send SMS to this country: check %(settings)s."
    ),
    "opted_out": N_("The recipient opted out of this sender (STOP): it must send START first."),
    "sender_queue_full": N_("The sender's queue at %(gateway)s is full; it is tried again by itself."),
    "recipient_without_sms": N_(
        "The phone number cannot receive SMS: correct it at Name, number, SMS login."
    ),
    "gateway_text_too_long": N_("The SMS is too long."),
    "sender_of_other_account": N_(
        "The sender number does not belong to this %(gateway)s account: check %(settings)s."
    ),
    "gateway_queue_full": N_("%(gateway)s's queue overflowed: send it again later."),
    "account_suspended": N_("The %(gateway)s account is suspended: see %(gateway)s's console."),
    "device_unreachable": N_(
        "The SMS did not reach the tracker: it may be switched off or out of coverage, or its number or SIM"
        " may be wrong. Try again when the vehicle is awake."
    ),
    "carrier_blocks": N_("The carrier blocks SMS to this number: ask the SIM's provider."),
    "number_unknown": N_("The number is unknown: check the phone number and the SIM."),
    "sim_without_sms": N_(
        "The SIM cannot receive SMS (a data-only SIM?): ask its provider to allow SMS, or change it."
    ),
    "carrier_filtered": N_("The carrier filtered the SMS: try again; if it stays so, ask %(gateway)s."),
    "carrier_gave_no_reason": N_("The carrier did not deliver it and gave no reason: try again later."),
    "too_late": N_(
        "It could not be delivered in time: the tracker was probably asleep or out of coverage. An SMS"
        " already at the carrier may still arrive."
    ),
    "error_of_gateway": N_("%(gateway)s reports error %(error)s: see its error dictionary."),
    "refused_by_gateway": N_("%(gateway)s refused the SMS (error %(error)s): %(words)s"),
    "refused_passing": N_("The SMS gateway refused the SMS (error %(error)s). It is tried again by itself."),
    "refused_for_good": N_(
        "The SMS gateway refused the SMS (error %(error)s). Its provider's list of errors says why."
    ),
    "refused_login": N_(
        "The SMS gateway refused the SMS (error %(error)s). Check the login in SMS_HTTP_HEADERS or SMS_HTTP_BODY."
    ),
    "refused_url": N_("The SMS gateway refused the SMS (error %(error)s). Check SMS_HTTP_URL."),
    "refused_method": N_("The SMS gateway refused the SMS (error %(error)s). Check SMS_HTTP_METHOD."),
    "undelivered": N_("The SMS was not delivered, and the SMS gateway gave no reason."),
    "undelivered_by_named": N_("The SMS was not delivered, and %(gateway)s gave no reason."),
    "undelivered_with_error": N_(
        "The SMS was not delivered: the SMS gateway reports error %(error)s. Its provider's list of errors says why."
    ),
    "error_reported": N_("The SMS gateway reported error %(error)s."),
    "named_unreachable": N_("%(gateway)s cannot be reached; it is tried again by itself."),
    "named_unreachable_now": N_("%(gateway)s cannot be reached."),
    "unreachable": N_(
        "The SMS gateway cannot be reached, or its certificate cannot be verified; it is tried again by itself."
    ),
    "other_answered": N_(
        "Something else than %(gateway)s answered, perhaps a proxy; it is tried again by itself."
    ),
    "other_answered_now": N_("Something else than %(gateway)s answered, perhaps a proxy."),
    "no_balance_of_account": N_("%(gateway)s tells no balance of this account."),
    "no_balance": N_("This SMS gateway tells no balance."),
    "no_list": N_("This SMS gateway cannot list messages."),
    "looked_up": N_("%(gateway)s did not say whether the SMS went out; it is being looked up."),
    "never_known": N_(
        "The SMS gateway did not say whether the SMS went out. It cannot be asked afterwards: only the"
        " device's answer or a delivery report will tell."
    ),
    "never_known_redirect": N_(
        "The SMS gateway did not say whether the SMS went out. It answered with a redirect, which is not"
        " followed: check SMS_HTTP_URL. It cannot be asked afterwards: only the device's answer or a delivery"
        " report will tell."
    ),
    "never_known_without_id": N_(
        "The SMS gateway did not say whether the SMS went out. Its answer has no id where SMS_HTTP_ID_FIELD"
        " says. It cannot be asked afterwards: only the device's answer or a delivery report will tell."
    ),
    "never_known_without_word": N_(
        "The SMS gateway did not say whether the SMS went out. Its answer has nothing where"
        " SMS_HTTP_ACCEPTED_FIELD says. It cannot be asked afterwards: only the device's answer or a delivery"
        " report will tell."
    ),
    "never_known_without_begin": N_(
        "The SMS gateway did not say whether the SMS went out. Its answer begins with none of"
        " SMS_HTTP_ACCEPTED. It cannot be asked afterwards: only the device's answer or a delivery report will"
        " tell."
    ),
}
