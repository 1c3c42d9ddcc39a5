"""Run with the generated client on its path: register, order, wait for the confirmation, ask for the weather."""

import json
import sys
import time
from uuid import UUID, uuid4

from crossdock_client import Client
from crossdock_client.api.orders import create_order, get_order, list_orders
from crossdock_client.api.users import get_user, register_user
from crossdock_client.api.weather import get_weather
from crossdock_client.models import NewLine, NewOrder, NewUser, OrderStatus, ProblemDocument

SECONDS = 20

with Client(base_url=sys.argv[1]) as client:
    email = f"{uuid4().hex}@example.com"
    registered = register_user.sync_detailed(client=client, body=NewUser(email=email, name="Ann"))
    user = registered.parsed
    assert registered.status_code == 201, user
    assert registered.headers["Location"] == f"/users/{user.id}"
    assert get_user.sync(str(user.id), client=client) == user

    lines = [NewLine(sku="apple", quantity=2, unit_price="9.90")]
    order = create_order.sync(client=client, body=NewOrder(user_id=user.id, currency="EUR", lines=lines))
    deadline = time.monotonic() + SECONDS
    while order.status is not OrderStatus.CONFIRMED and time.monotonic() < deadline:
        time.sleep(0.05)
        order = get_order.sync(str(order.id), client=client)
    assert [each.id for each in list_orders.sync(client=client, user_id=user.id).items] == [order.id]

    unknown = NewOrder(user_id=UUID(int=7), currency="EUR", lines=lines)
    refused = create_order.sync(client=client, body=unknown)
    assert isinstance(refused, ProblemDocument)

    weather = get_weather.sync("Reykjavík", client=client)
    seen = {"status": order.status, "total": order.total, "weather": weather.provider, "refused": refused.code}
    print(json.dumps(seen))
