"""A node of dora that sends or receives; variables say which, and how much. The same for every daemon.

The stamp is taken before `send_output` of data that exist already, and when the event has come. It is the monotonic
clock's, which the processes of one machine share.
"""

import os
import sys
import threading
import time

import numpy
import pyarrow
from dora import Node


def send(node):
    data = pyarrow.array(numpy.ones(int(os.environ["BYTES"]), dtype=numpy.uint8))
    pace = float(os.environ["PACE"])
    node.next()
    due = time.monotonic()
    for _ in range(int(os.environ["COUNT"])):
        due += pace
        time.sleep(max(0.0, due - time.monotonic()))
        node.send_output("out", data, {"sent": time.monotonic_ns()})


def receive(node):
    times = []
    for event in node:
        arrived = time.monotonic_ns()
        if event["type"] == "INPUT":
            times.append(arrived - event["metadata"]["sent"])
        elif event["type"] in ("INPUT_CLOSED", "STOP"):
            break
    with open(os.environ["REPORT"], "w") as report:
        report.writelines(f"{nanos}\n" for nanos in times)


def main():
    # Whatever becomes of its daemon, it does not stay.
    deadline = threading.Timer(float(os.environ["DEADLINE"]), os._exit, [1])
    deadline.daemon = True
    deadline.start()
    {"sender": send, "receiver": receive}[os.environ["PART"]](Node())
    sys.stdout.flush()


main()
