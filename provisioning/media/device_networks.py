"""The networks that the files of a device come from, so that a new one can be shown beside a file."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select

from provisioning.models import DeviceNetwork, db, put_all
from receiver.addresses import origin

NEW_NETWORK_FOR = timedelta(days=1)  # how long files say that their network is another one than before


def judge(rows: Sequence[dict[str, Any]]) -> None:
    """Say of each file whether it came from another network than its device's files before; remember the networks.

    A network is another one for NEW_NETWORK_FOR after its first file: somebody else may send more than one file.
    """
    placed = [row for row in rows if row.get("device_id") is not None and row["address"]]
    if not placed:
        return
    ids = {row["device_id"] for row in placed}
    seen: dict[int, dict[str, datetime]] = defaultdict(dict)
    for one in db.session.scalars(select(DeviceNetwork).where(DeviceNetwork.device_id.in_(ids))):
        seen[one.device_id][one.network] = one.first_at
    last: dict[tuple[int, str], datetime] = {}
    for row in sorted(placed, key=lambda row: row["received_at"]):
        own, network, at = seen[row["device_id"]], origin(row["address"]), row["received_at"]
        first = own.setdefault(network, at)
        is_new = at - first < NEW_NETWORK_FOR
        row["other_network"] = is_new and any(
            before < first for name, before in own.items() if name != network
        )
        last[row["device_id"], network] = at
    put_all(
        DeviceNetwork,
        [
            {"device_id": device_id, "network": network, "first_at": seen[device_id][network], "last_at": at}
            for (device_id, network), at in last.items()
        ],
        "device_id, network",
        once=("first_at",),
    )


def forget_networks(now: datetime, days: int) -> None:
    """Forget the networks that no file of a device came from for so many days: then they are new again."""
    old = DeviceNetwork.last_at < now - timedelta(days=days)
    db.session.execute(delete(DeviceNetwork).where(old).execution_options(synchronize_session=False))
    db.session.commit()
