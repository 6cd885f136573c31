#!/usr/bin/env python3
"""Holds a server to the document that it serves: the document is valid, and what the server answers is what it says.

    contract_check.py --rowcast .build/release/rowcast [--seconds 600] [--seed 1]

Starts an appliance of its own with models of several kinds, a service, a table, and a key for everything; has
openapi-spec-validator read the document; then lets schemathesis make requests from it, right ones and wrong ones, until the
time is over. Anything that is answered by 5xx, or otherwise than the document says, ends it with status 1.

One check is left out, positive_data_acceptance: whether rows are a model's is for the model to say, and no schema of a
request can.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import urllib.request

from openapi_spec_validator import validate

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "Tests/InferenceTests/Fixtures"
FAQ = ROOT / "sql/examples/models/faq"

# What schemathesis knows of the server beside the document, so that requests come to something.
CONFIGURATION = """
continue-on-failure = true

[dictionaries]
models = { values = ["bank", "customers", "faq"] }
versions = { values = ["1", "champion"] }
services = { values = ["help", "faq"] }
jobs = { values = [1, 2, 3] }
tables = { values = ["public.customer", "public.hidden"] }
queries = { values = ["select * from public.customer", "select 1 as id", "with x as (select 1) select * from x"] }
inputs = { values = ["amount", "features", "x", "balance"] }

[parameters]
"path.model" = { dictionary = "models", probability = 0.8 }
"path.version" = { dictionary = "versions", probability = 0.8 }
"path.name" = { dictionary = "services", probability = 0.8 }
"path.job" = { dictionary = "jobs", probability = 0.8 }
"query.model" = { dictionary = "models", probability = 0.8 }
"body.model" = { dictionary = "models", probability = 0.8 }
"body.table" = { dictionary = "tables", probability = 0.7 }
"body.query" = { dictionary = "queries", probability = 0.7 }

[checks]
positive_data_acceptance.enabled = false
"""


class Appliance:
    def __init__(self, rowcast, folder):
        self.rowcast, self.directory = rowcast, str(folder / "data")
        self.process = subprocess.Popen(
            [rowcast, "up", "--data-dir", self.directory, "--http", "0", "--lanes", "1"], stdout=subprocess.PIPE, text=True
        )
        self.url = self.psql = None
        for line in self.process.stdout:
            if found := re.search(r"serving on (\S+)", line):
                self.url = found[1]
            if found := re.search(r'psql "(.*)"', line):
                self.psql = found[1]
            if self.url and self.psql:
                break
        else:
            sys.exit("the appliance did not start")

    def run(self, *arguments):
        return subprocess.run(
            [self.rowcast, *arguments, "--data-dir", self.directory], check=True, capture_output=True, text=True
        ).stdout.strip()

    def sql(self, script):
        return subprocess.run(
            ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", self.psql],
            input=script, check=True, capture_output=True, text=True,
        ).stdout.strip()

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=60)


def prepare(appliance):
    """Models, a service, a table that jobs may read and one that they may not; the key."""
    for name, file in [
        ("bank", FIXTURES / "lightgbm_multiclass/model.txt"),
        ("customers", FIXTURES / "columns_pipeline/model.onnx"),
        ("faq", FAQ / "model.onnx"),
    ]:
        appliance.run("push", str(file), "--name", name, "--alias", "champion")
    entries = "\n".join(
        "insert into help.entry values ({}, '{}');".format(number, text.replace("'", "''"))
        for number, text in (line.split("\t") for line in (FAQ / "entries.tsv").read_text().splitlines())
    )
    names = (FIXTURES / "lightgbm_multiclass/rows.csv").read_text().splitlines()[0].split(",")
    columns = ", ".join(f'"{name}" float8 default 0' for name in names)
    appliance.sql(
        f"""
        create schema help; create table help.entry (entry_id int primary key, entry text); {entries}
        select rowcast.create_service('help', 'faq',
            'select entry_id as question_id, entry_id * 10 as answer_id, entry from help.entry');
        create table customer (id int primary key, {columns}); create table hidden as table customer;
        insert into customer (id) select generate_series(1, 1000);
        create role night_jobs; grant rowcast_analyst to night_jobs; grant select on customer to night_jobs;
        set role night_jobs; select rowcast.lend_rights();
        """
    )
    key = appliance.run(
        "keys", "create", "contract check", "--role", "night_jobs",
        *(word for action in ["read", "score", "metrics", "jobs", "push"] for word in ["--action", action]),
    )
    deadline = time.monotonic() + 30
    while True:
        request = urllib.request.Request(appliance.url + "/v1/models", headers={"X-API-Key": key})
        try:
            with urllib.request.urlopen(request) as answer:
                if len(json.load(answer)["models"]) == 3:
                    return key
        except urllib.error.HTTPError:
            pass
        if time.monotonic() > deadline:
            sys.exit("the server does not know its models or its key")
        time.sleep(0.1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rowcast", required=True)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report", help="a folder for schemathesis' report of all that was sent")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)  # PostgreSQL may run as another user.
        (folder / "schemathesis.toml").write_text(CONFIGURATION)
        appliance = Appliance(options.rowcast, folder)
        try:
            key = prepare(appliance)
            request = urllib.request.Request(appliance.url + "/openapi.json", headers={"X-API-Key": key})
            with urllib.request.urlopen(request) as answer:
                document = json.load(answer)
            validate(document)
            described = folder / "openapi.json"
            described.write_text(json.dumps(document))
            count = sum(len(item) for item in document["paths"].values())
            print(f"OpenAPI {document['openapi']}: valid, {count} operations", flush=True)
            status = subprocess.run(
                [
                    pathlib.Path(sys.executable).with_name("schemathesis"),
                    "--config-file", folder / "schemathesis.toml", "run", described, "--url", appliance.url,
                    "--header", f"Authorization: Bearer {key}", "--max-time", str(options.seconds),
                    "--seed", str(options.seed), "--suppress-health-check", "all", "--no-color",
                    *(["--report", "ndjson", "--report-dir", options.report] if options.report else []),
                ],
                cwd=folder,
            ).returncode
            alive = appliance.process.poll() is None
            print("the server", "lives" if alive else "has ended")
            sys.exit(status or (0 if alive else 1))
        finally:
            appliance.stop()


if __name__ == "__main__":
    main()
