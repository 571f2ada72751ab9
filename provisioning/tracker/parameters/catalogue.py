"""The catalogue: every device parameter that the product knows, one row each, in reading order.

No rules about sets of parameters here (`validation`), no warnings (`warnings`), no words for values
(`labels`), no look-up by key (`lookup`). Read by the forms, the API's `GET /parameters`, the composer and the
readers of replies.
Source: the vendor's parameter pages.
"""

from collections.abc import Mapping
from types import MappingProxyType

from provisioning.tracker.parameters.parameter import Parameter
from provisioning.translation import N_

_CAMERAS = MappingProxyType({0: N_("None"), 1: N_("Front"), 2: N_("Rear"), 3: N_("Both")})
_RECONFIGURES = N_("A change reconfigures the camera, about 30 s.")
_NEEDS_DUALCAM = N_("Takes effect only with RS232 mode (151) = DualCam and External UART mode (150) = RS232.")

_ROWS = (
    Parameter(
        "rs232_mode",
        151,
        N_("RS232 mode"),
        "integer",
        N_("What the serial port talks to; 18 is the DualCam."),
        minimum=0,
        maximum=255,
        choices=MappingProxyType({18: N_("DualCam")}),
        default=0,
        since="03.27.00.Rev.100",
        depends=(
            N_("Needs External UART mode (150) = RS232."),
            N_("The maker's pages disagree on the first firmware: 03.27.00.Rev.100 or 03.27.06.Rev.360."),
        ),
        required=18,
        reconfigures=True,
    ),
    Parameter(
        "external_uart_mode",
        150,
        N_("External UART mode"),
        "choice",
        N_("Switches the serial port on that the camera is wired to."),
        choices=MappingProxyType({0: N_("Disabled"), 1: N_("RS232"), 2: N_("RS485")}),
        default=0,
        depends=(N_("Must be RS232 for DualCam, together with RS232 mode (151) = DualCam."),),
        required=1,
        reconfigures=True,
    ),
    Parameter(
        "rs232_baud_rate",
        152,
        N_("RS232 baud rate"),
        "choice",
        N_("Speed of the serial port; 0 takes what suits the mode and is right for DualCam."),
        choices=MappingProxyType(
            {
                0: N_("Default for the mode"),
                1: "1200",
                2: "2400",
                3: "9600",
                4: "14400",
                5: "19200",
                6: "38400",
                7: "57600",
                8: "115200",
            }
        ),
        default=0,
        unit="baud",
        depends=(N_("Leave it at 0 for DualCam."),),
    ),
    Parameter(
        "data_protocol",
        113,
        N_("Data protocol"),
        "choice",
        N_("How the tracker packs its records; camera states and triggers need Codec 8 Extended."),
        choices=MappingProxyType({0: N_("Codec 8"), 1: N_("Codec 8 Extended")}),
        depends=(
            N_(
                "The tracker reports the states of its cameras and what triggered (AVL 497 to 499) only with"
                " Codec 8 Extended."
            ),
        ),
    ),
    Parameter(
        "picture_resolution",
        66000,
        N_("Picture resolution"),
        "choice",
        N_("Size of a photo, unless a request names another."),
        choices=MappingProxyType({0: "160x120", 1: "320x240", 2: "640x480", 3: "1280x720", 4: "1920x1080"}),
        default=3,
        depends=(_NEEDS_DUALCAM,),
    ),
    Parameter(
        "picture_compression",
        66001,
        N_("Picture compression"),
        "integer",
        N_("How strongly a photo is compressed."),
        minimum=0,
        maximum=100,
        default=50,
        unit="%",
        depends=(_NEEDS_DUALCAM, _RECONFIGURES),
        reconfigures=True,
    ),
    Parameter(
        "on_screen_display",
        66002,
        N_("On-screen display"),
        "choice",
        N_("Switches the on-screen display in the picture on."),
        choices=MappingProxyType({0: N_("Off"), 1: N_("On")}),
        default=0,
        depends=(_NEEDS_DUALCAM, _RECONFIGURES),
        reconfigures=True,
    ),
    Parameter(
        "video_frame_rate",
        66003,
        N_("Video frame rate"),
        "choice",
        N_("Frames a second of a video."),
        choices=MappingProxyType({20: "20", 25: "25", 30: "30"}),
        default=30,
        unit="fps",
        depends=(_NEEDS_DUALCAM, _RECONFIGURES),
        reconfigures=True,
    ),
    Parameter(
        "periodic_image",
        66006,
        N_("Periodic image"),
        "choice",
        N_("Sends photos by itself, again and again, of the chosen cameras."),
        choices=MappingProxyType({0: N_("Off"), 1: N_("Front"), 2: N_("Rear"), 3: N_("Both")}),
        default=0,
        depends=(
            _NEEDS_DUALCAM,
            N_("Periodic image interval (66007) says how often."),
            N_("Firmware before 03.27.03.Rev.04 knows only on and off."),
        ),
        sends_by_itself=N_("periodic photos"),
    ),
    Parameter(
        "periodic_image_interval",
        66007,
        N_("Periodic image interval"),
        "integer",
        N_("Time from one periodic photo to the next."),
        minimum=10,
        maximum=1800,
        default=600,
        unit="s",
        depends=(N_("Used only with Periodic image (66006) on."),),
    ),
    Parameter(
        "video_before_trigger",
        66009,
        N_("Video before the trigger"),
        "integer",
        N_("How much of a triggered video lies before the trigger."),
        minimum=1,
        maximum=10,
        default=5,
        unit="s",
        depends=(N_("Used only with a trigger in Video trigger (66023)."),),
    ),
    Parameter(
        "video_after_trigger",
        66010,
        N_("Video after the trigger"),
        "integer",
        N_("How much of a triggered video lies after the trigger."),
        minimum=1,
        maximum=10,
        default=5,
        unit="s",
        depends=(N_("Used only with a trigger in Video trigger (66023)."),),
    ),
    Parameter(
        "scenario_mode",
        66020,
        N_("Scenario mode"),
        "choice",
        N_("When the camera may work: with the ignition on, or always."),
        choices=MappingProxyType({0: N_("On ignition"), 1: N_("Always")}),
        default=0,
        depends=(
            _NEEDS_DUALCAM,
            N_("Firmware before 03.27.03.Rev.105 works with the ignition on only."),
            N_("Always works in every sleep mode but Ultra, and needs a camera on permanent supply."),
        ),
    ),
    Parameter(
        "image_trigger",
        66022,
        N_("Image trigger"),
        "mask",
        N_("Events that take a photo; each sends the pictures of both cameras."),
        bits=MappingProxyType(
            {
                2: N_("DIN1"),
                4: N_("DIN2"),
                8: N_("Crash"),
                16: N_("Towing"),
                32: N_("Idling"),
                64: N_("Geofence"),
                128: N_("Unplug"),
                256: N_("GreenDriving"),
            }
        ),
        default=0,
        depends=(_NEEDS_DUALCAM,),
        sends_by_itself=N_("photo triggers"),
    ),
    Parameter(
        "video_trigger",
        66023,
        N_("Video trigger"),
        "mask",
        N_("Events that take a clip of the cameras that their video sources (66040, 66041, 66042) name."),
        bits=MappingProxyType({2: N_("DIN1"), 4: N_("DIN2"), 8: N_("Crash")}),
        default=0,
        depends=(_NEEDS_DUALCAM, N_("Each trigger needs its source: DIN1 66040, DIN2 66041, Crash 66042.")),
        sends_by_itself=N_("video triggers"),
    ),
    Parameter(
        "video_source_din1",
        66040,
        N_("Video source for DIN1"),
        "choice",
        N_("Cameras that record when DIN1 triggers."),
        choices=_CAMERAS,
        default=0,
        depends=(N_("Used only with DIN1 in Video trigger (66023)."),),
    ),
    Parameter(
        "video_source_din2",
        66041,
        N_("Video source for DIN2"),
        "choice",
        N_("Cameras that record when DIN2 triggers."),
        choices=_CAMERAS,
        default=0,
        depends=(N_("Used only with DIN2 in Video trigger (66023)."),),
    ),
    Parameter(
        "video_source_crash",
        66042,
        N_("Video source for Crash"),
        "choice",
        N_("Cameras that record when a crash triggers."),
        choices=_CAMERAS,
        default=0,
        depends=(N_("Used only with Crash in Video trigger (66023)."),),
    ),
    Parameter(
        "camera_time_zone",
        66024,
        N_("Camera time zone"),
        "integer",
        N_("Offset from UTC that the camera stamps its footage with."),
        minimum=-720,
        maximum=840,
        step=30,
        default=0,
        unit="min",
        since="03.27.07.Rev.364",
        depends=(
            _NEEDS_DUALCAM,
            N_("Footage recorded before a change can no longer be asked for by its time."),
        ),
    ),
    Parameter(
        "file_transfer_priority",
        66025,
        N_("File transfer priority"),
        "choice",
        N_("Which files the camera offers first."),
        choices=MappingProxyType({0: N_("Picture"), 1: N_("Video"), 2: N_("Alternating")}),
        default=2,
        depends=(_NEEDS_DUALCAM,),
    ),
    Parameter(
        "sms_login",
        3003,
        N_("SMS login"),
        "text",
        N_("First word of every SMS command."),
        default="",
        max_length=5,
        shape="alphanumeric",
        depends=(N_("Set together with the SMS password (3004), in an SMS of their own."),),
        secret=True,
        read_back=False,
    ),
    Parameter(
        "sms_password",
        3004,
        N_("SMS password"),
        "text",
        N_("Second word of every SMS command."),
        default="",
        max_length=5,
        shape="alphanumeric",
        depends=(N_("Set together with the SMS login (3003), in an SMS of their own."),),
        secret=True,
        read_back=False,
    ),
)

CATALOGUE: Mapping[int, Parameter] = MappingProxyType({row.id: row for row in _ROWS})


def with_camera_server(domain_id: int | None, port_id: int | None) -> Mapping[int, Parameter]:
    """Return the catalogue with the camera server's domain and port under the ids that the operator named.

    Their ids are not published; None leaves that one out. Raises ValueError when an id is taken.
    """
    rows = dict(CATALOGUE)
    if domain_id is not None:
        rows[domain_id] = Parameter(
            "camera_server_domain",
            domain_id,
            N_("Camera server domain"),
            "text",
            N_("Host name or IPv4 address that the camera sends its files to."),
            max_length=55,
            shape="host",
            depends=(_NEEDS_DUALCAM,),
            read_back=False,
        )
    if port_id is not None:
        rows[port_id] = Parameter(
            "camera_server_port",
            port_id,
            N_("Camera server port"),
            "integer",
            N_("TCP port that the camera sends its files to."),
            minimum=1,
            maximum=65535,
            depends=(_NEEDS_DUALCAM,),
            read_back=False,
        )
    named = [number for number in (domain_id, port_id) if number is not None]
    if len(set(named)) < len(named) or any(number in CATALOGUE for number in named):
        raise ValueError("the camera server's domain and port need two ids that no other parameter has")
    return MappingProxyType(rows)
