"""Findings of the audit as JSON."""

import json

from blockresearch.audit.finding import AuditFinding, as_record
from blockresearch.language.catalogue import translated
from blockresearch.language.sentence import say, with_messages


def test_evidence_is_translated_from_json():
    evidence = say("all {count} elements are zero", count="384")
    record = as_record(AuditFinding("note", "all_zero", "a", evidence, "m"))
    read = json.loads(json.dumps([record, as_record(AuditFinding("note", "x", "a", "b", "m"))]))
    assert read[0]["evidence"] == "all 384 elements are zero" and "messages" not in read[1]
    assert translated(with_messages(read[0])["evidence"], "zh") == "全部 384 个元素为零"
