"""`meddl demo`: the three verbs on the embedded head, or on a volume of your own, against known truths."""

from meddl.demo.run import add_arguments, run, run_demo

__all__ = ["add_arguments", "run", "run_demo"]
