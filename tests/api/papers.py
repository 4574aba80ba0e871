"""Fetches the OpenAPI document and FHIR bundles from a running platform and holds them against others' idea of them."""

import copy
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fhir.resources.R4B.bundle import Bundle
from openapi_spec_validator import OpenAPIV31SpecValidator

HERE = Path(__file__).resolve().parent


def main(program):
    with tempfile.TemporaryDirectory(prefix="bedcheck-api-") as folder:
        os.rmdir(folder)
        call = lambda *words: subprocess.run([program, *words, "--dir", folder], check=True, capture_output=True, text=True).stdout.strip()
        call("init")
        tokens = {}
        for role in ["supervisor", "auditor"]:
            call("person", "add", role, "--role", role)
            tokens[role] = call("person", "token", role)
        tables = HERE.parent / "browser" / "tables.py"
        subprocess.run([sys.executable, tables, f"{folder}/platform.db", "fill"], check=True)
        serve = [program, "serve", "--devices", "127.0.0.1:0", "--dashboard", "127.0.0.1:0", "--dir", folder]
        server = subprocess.Popen(serve, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            look(Path(folder) / "addresses.json", tokens)
        finally:
            server.terminate()
            server.wait()


def look(addresses, tokens):
    while not addresses.exists():
        time.sleep(0.05)
    host = json.loads(addresses.read_text())["dashboard"].removeprefix("http://")

    def get(path, role):
        connection = http.client.HTTPConnection(host)
        connection.request("GET", path, headers={"Authorization": f"Bearer {tokens[role]}"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            sys.exit(f"{path}: {answer.status} {body!r}")
        return json.loads(body)

    document = get("/api/v1/openapi.json", "auditor")
    OpenAPIV31SpecValidator(document).validate()
    spoilt = copy.deepcopy(document)
    del spoilt["info"]["title"]
    must_fail("a document without title", lambda: OpenAPIV31SpecValidator(spoilt).validate())

    for kind, role in [("DetectedIssue", "supervisor"), ("AuditEvent", "auditor")]:
        bundle = get(f"/api/v1/fhir/{kind}?limit=200", role)
        entries = Bundle.model_validate(bundle).entry
        assert entries and all(entry.resource.get_resource_type() == kind for entry in entries), kind
        del bundle["entry"][0]["resource"]["status" if kind == "DetectedIssue" else "source"]
        must_fail(f"a {kind} without what it must have", lambda: Bundle.model_validate(bundle))
        print(f"FHIR {kind}: {len(entries)} resources are valid")
    print(f"OpenAPI {document['openapi']}: valid, {len(document['paths'])} paths")


def must_fail(what, check):
    """A check that takes anything is none."""
    try:
        check()
    except Exception:
        return
    sys.exit(f"{what} was taken for valid")


main(*sys.argv[1:])
