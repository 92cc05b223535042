"""A shop of one page: it serves /checkout, asks itself for it N times over HTTP, and ends.

It is run under opentelemetry-instrument, which makes the spans; nothing here knows of tracing.
Usage: app.py N
"""

import logging
import sys
import threading

import flask
import requests
from werkzeug.serving import make_server

app = flask.Flask("shop")
logging.getLogger("werkzeug").setLevel(logging.ERROR)
app.logger.disabled = True  # the failing orders are on purpose


@app.get("/checkout/<int:order>")
def checkout(order):
    if order % 5 == 4:
        raise ValueError(f"order {order} has no items")
    return {"order": order}


server = make_server("127.0.0.1", 0, app, threaded=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
for i in range(int(sys.argv[1])):
    requests.get(f"http://127.0.0.1:{server.port}/checkout/{i}", timeout=10)
server.shutdown()
