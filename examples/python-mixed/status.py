"""Reports each number that it reads."""

import pyarrow as pa
from dora import Node

node = Node()
count = 0
# It ends by itself. Leaving it at the event `STOP` may miss inputs that still wait: nodes of dora hear of it first.
for event in node:
    if event["type"] == "INPUT":
        value = event["value"][0].as_py()
        report = f"operator received random value 0x{value:x} after {count} ticks"
        node.send_output("status", pa.array([report]))
        count += 1
