"""Sends the average of the last ten numbers as text, once for every ten."""

import pyarrow as pa
from dora import Node

COUNT = 10

node = Node()
numbers = []
for event in node:
    if event["type"] == "INPUT":
        numbers.extend(event["value"].to_pylist())
        if len(numbers) >= COUNT:
            average = sum(numbers) / len(numbers)
            text = f"the average of {len(numbers)} numbers is {average:.4g}"
            node.send_output("average", pa.array([text]), event["metadata"])
            numbers.clear()
    elif event["type"] == "STOP":
        break
