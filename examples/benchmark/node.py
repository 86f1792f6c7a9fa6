"""A node of dora that does what the kinds of the plugin `stopwatch` do, as its variables say.

The stamp is taken before `send_output` of data that exist already, and when the event has come. The data are the same
bytes each time: `send_output` copies them before it returns.
"""

import os
import sys
import time

import pyarrow
from dora import Node

# The clock of the plugin.
now = time.time_ns


def send(node):
    size, count = int(os.environ["BYTES"]), int(os.environ["COUNT"])
    pace, limit = int(os.environ["MICROS"]) / 1e6, int(os.environ["MILLIS"]) / 1e3
    data = bytearray(b"\1" * size)
    array = pyarrow.Array.from_buffers(pyarrow.uint8(), size, [None, pyarrow.py_buffer(data)])
    node.next()
    data[:8] = now().to_bytes(8, sys.byteorder)
    started = due = time.monotonic()
    sent = 0
    while sent < count and not (limit and time.monotonic() - started >= limit):
        if pace:
            due += pace
            time.sleep(max(0.0, due - time.monotonic()))
            data[:8] = now().to_bytes(8, sys.byteorder)
        node.send_output("out", array)
        sent += 1
    with open(os.environ["REPORT"], "w") as report:
        report.write(f"{sent}\n")


def read(node):
    timed = os.environ["LATENCIES"] == "true"
    times, received, first, last = [], 0, 0, 0
    for event in node:
        arrived = now()
        if event["type"] != "INPUT":
            # That the input is closed is told before what is left of its messages; then the events end.
            continue
        received, last = received + 1, arrived
        if timed or received == 1:
            value = event["value"]
            data = memoryview(value.buffers()[1])[value.offset:value.offset + 8]
            sent = int.from_bytes(data, sys.byteorder)
            first = first or sent
            if timed:
                times.append(max(0, arrived - sent))
    with open(os.environ["REPORT"], "w") as report:
        report.writelines(f"{number}\n" for number in [received, last - first, *times])


{"sender": send, "reader": read}[os.environ["PART"]](Node())
