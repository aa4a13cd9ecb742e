"""Reads Prometheus' text format from stdin with prometheus_client, and prints its samples as JSON.

Exits 0 when every line was read, every family has a type and a help text, and no sample is there twice; otherwise the
exception says what is wrong.
"""

import json
import sys

from prometheus_client.parser import text_string_to_metric_families

samples, seen = [], set()
for family in text_string_to_metric_families(sys.stdin.read()):
    assert family.type in ("counter", "gauge", "histogram"), f"{family.name} is {family.type}"
    assert family.documentation, f"{family.name} has no help"
    for sample in family.samples:
        key = (sample.name, tuple(sorted(sample.labels.items())))
        assert key not in seen, f"{key} is there twice"
        seen.add(key)
        samples.append({"name": sample.name, "labels": sample.labels, "value": sample.value})
assert samples, "no samples"
json.dump(samples, sys.stdout)
