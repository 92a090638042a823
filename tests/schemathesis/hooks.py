"""What schemathesis can't know of this interface: which services there are, and what never ends by itself."""

import json
import os
import random

import schemathesis

SERVICES = ["db", "main-api", "worker", "job", "broken", "absent", "off", "taken", "outside"]
GROUPS = ["Stores"]
ACTIONS = ["seed", "fail"]
FILES = [os.path.join(os.environ["PROJECT"], name) for name in ("proposal.json", "services.d/torn.json", "none.json", "")]
# The longest that a request may be told to wait, in seconds.
PATIENCE = 0.5


@schemathesis.hook
def before_load_schema(context, raw_schema):
    # A line of the answer is an event; schemathesis is given all lines.
    content = raw_schema["paths"]["/v1/events"]["get"]["responses"]["200"]["content"]["application/x-ndjson"]
    content["schema"] = {"type": "array", "items": content["schema"]}


@schemathesis.deserializer("application/x-ndjson")
def lines(context, response):
    return [json.loads(line) for line in response.content.splitlines()]


def seeded(value):
    """The same choices for the same request, so that what was found can be shrunk."""
    return random.Random(json.dumps(value, sort_keys=True, default=str))


def some(value, choices):
    dice = seeded(value)
    return dice.choice(choices) if isinstance(value, str) and dice.random() < 0.7 else value


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    if path_parameters and "id" in path_parameters:
        path_parameters["id"] = some(path_parameters["id"], SERVICES)
    return path_parameters


@schemathesis.hook
def map_query(context, query):
    if query and isinstance(query.get("ids"), str):
        query["ids"] = some(query["ids"], [*SERVICES, ",".join(SERVICES), "db,db", "db,nobody"])
    return query


@schemathesis.hook
def map_body(context, body):
    if not isinstance(body, dict):
        return body
    if isinstance(body.get("ids"), list):
        body["ids"] = [some(one, SERVICES) for one in body["ids"]]
    for key, choices in (("id", SERVICES), ("group", GROUPS), ("name", ACTIONS)):
        if key in body:
            body[key] = some(body[key], choices)
    if isinstance(body.get("files"), list):
        body["files"] = [some(one, FILES) for one in body["files"]]
    return body


@schemathesis.hook
def map_case(context, case):
    # Whoever waits for what does not come is right to wait; with a time, it has an end.
    body = case.body
    if isinstance(body, dict) and case.operation.path in ("/v1/start", "/v1/stop", "/v1/restart", "/v1/wait", "/v1/adopt"):
        timeout = body.get("timeout")
        if timeout is None or (isinstance(timeout, (int, float)) and timeout > PATIENCE):
            body["timeout"] = PATIENCE
    # An answer without an end is no answer that could be checked.
    if isinstance(case.query, dict) and str(case.query.get("follow")).lower() == "true":
        case.query["follow"] = "false"
    return case
