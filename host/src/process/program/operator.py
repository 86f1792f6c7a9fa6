# Runs a Python operator of dora as a node: its file is the first argument.
import importlib.util
import os
import sys

sys.argv = sys.argv[1:]
file = sys.argv[0]
sys.path.insert(0, os.path.dirname(os.path.abspath(file)))
name = os.path.splitext(os.path.basename(file))[0]
spec = importlib.util.spec_from_file_location(name, file)
module = importlib.util.module_from_spec(spec)
sys.modules[name] = module
spec.loader.exec_module(module)
# One that cannot be made has not begun: no other node waits for it.
operator = module.Operator()

from dora import Node

node = Node()
operator.dataflow_descriptor = node.dataflow_descriptor()


def send_output(output, data, metadata=None):
    node.send_output(output, data, metadata or {})


# CONTINUE is 0; STOP and STOP_ALL end the only operator that there is.
for event in node:
    status = operator.on_event(event, send_output)
    if getattr(status, "value", status):
        break
