"""The results of calls as JUnit XML, which every CI system reads. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from bridge.simulator.report import Report

_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Result:
    """How one call of a run has gone."""

    name: str
    file: str = ""
    """The scenario's."""
    report: Report | None = None
    """None if there was no call."""
    error: str = ""
    """Why there was none, or why it was broken off."""

    @property
    def ok(self) -> bool:
        """Whether all went as it should."""
        return self.report is not None and self.report.ok and not self.error


def junit_xml(results: Sequence[Result]) -> bytes:
    """One test suite with a test case for each call; what did not hold is a failure each."""
    seconds = [result.report.seconds if result.report else 0.0 for result in results]
    counts = {
        "name": "phone-bridge call",
        "tests": str(len(results)),
        "failures": str(sum(not one.ok and not one.error for one in results)),
        "errors": str(sum(bool(one.error) for one in results)),
        "time": f"{sum(seconds):.3f}",
    }
    suites = ET.Element("testsuites")
    suite = ET.SubElement(suites, "testsuite", counts)
    for result, took in zip(results, seconds, strict=True):
        where = {"name": _text(result.name), "classname": _text(result.file or "call"), "time": f"{took:.3f}"}
        case = ET.SubElement(suite, "testcase", where)
        if result.error:
            ET.SubElement(case, "error", {"message": _text(result.error)})
        report = result.report
        if report is None:
            continue
        problems = [f"{one.code}: {one.text}" for one in report.problems]
        for what in [*report.failures, *problems] if not report.ok else []:
            ET.SubElement(case, "failure", {"message": _text(what)})
        ET.SubElement(case, "system-out").text = _text(str(report))
    ET.indent(suites)
    written: bytes = ET.tostring(suites, encoding="utf-8", xml_declaration=True)
    return written


def _text(text: str) -> str:
    """Without the characters that XML cannot hold."""
    return _NO_XML.sub("\ufffd", text)
