"""What people read of a file's copies: why there are none, or what is missing of them."""

from collections.abc import Mapping

from provisioning.phrase import AS_IT_IS, Phrase
from provisioning.translation import N_, decimal, gettext

WORDS: Mapping[str, str] = {
    AS_IT_IS: "%(text)s",
    "broken_off": N_(
        "Making the copy was broken off each time it was tried; the original can be downloaded."
    ),
    "took_too_long": N_("Making the copy took too long."),
    "decoder_crashed": N_("The decoder crashed (code %(code)s)."),
    "copy_unwritable": N_("The copy cannot be written (%(cause)s)."),
    "copy_too_large": N_("The copy would be larger than is allowed."),
    "too_much_memory": N_("Decoding the file takes more memory than is allowed."),
    "no_original": N_("The original is not there."),
    "no_jpeg": N_("The file is not a JPEG picture."),
    "picture_undecodable": N_("The picture cannot be decoded (%(cause)s)."),
    "picture_too_large": N_(
        "The picture is %(width)s × %(height)s pixels; the limit is %(millions)s million pixels."
    ),
    "too_many_scans": N_("The picture has %(scans)s scans; the limit is %(most)s."),
    "end_missing": N_("The end of this photo is missing; what came of it is shown."),
    "unknown_video_format": N_("The file is neither an H.265 stream nor an MP4 file."),
    "unknown_codec": N_("The clip is neither H.264 nor H.265."),
    "no_picture": N_("The clip holds no picture."),
    "video_undecodable": N_("The clip cannot be decoded (%(cause)s)."),
    "video_too_large": N_("The clip is %(width)s × %(height)s pixels; the limit is %(most)s × %(most)s."),
    "copy_at_limit": N_("The copy holds the first %(seconds)s seconds of this clip: that is the limit."),
    "copy_cut_short": N_(
        "The copy holds the first %(seconds)s seconds of this clip: making more took too long."
    ),
}

NUMBERS = ("millions", "seconds")  # arguments that are numbers with decimals, as text


def problem(phrase: Phrase) -> str:
    """Say why there is no copy, or what is missing of it."""
    given = {
        name: decimal(str(value)) if name in NUMBERS else value for name, value in phrase.arguments.items()
    }
    return gettext(WORDS[phrase.code], **given)
